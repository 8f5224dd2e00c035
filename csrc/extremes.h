/* The smallest and the largest number of an array, in the order -NaN < -inf < ... < -0 < 0 < ... <
 * inf < NaN, so that both are finite only if every number is.
 *
 * Domain: every float. The result is exact. The floats are compared as integers: compilers vectorize
 * that, while a comparison of floats has to keep the order of the numbers because of NaN. */
#ifndef EV_EXTREMES_H
#define EV_EXTREMES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Map the bits of a float to an integer of the same order, and back. */
static inline int32_t ordered(int32_t bits)
{
    return bits ^ ((bits >> 31) & 0x7fffffff);
}

static inline void extremes_of(float *least, float *most, const float *x, size_t n)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits = ordered(bits);
        low = bits < low ? bits : low;
        high = bits > high ? bits : high;
    }
    low = ordered(low);
    high = ordered(high);
    memcpy(least, &low, sizeof low);
    memcpy(most, &high, sizeof high);
}

#endif
