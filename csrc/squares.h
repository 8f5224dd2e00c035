/* The sum of squares of an item, added in a fixed order: value i goes to lane i % SQUARE_LANES of
 * float32 sums, which a float64 sum takes up after each block. So all kernels give the same bits.
 *
 * Domain: every float. Each operation is rounded once; the relative error of the sum is at most
 * 66 * 2^-24, of which 63 are the additions of a lane. */
#ifndef EV_SQUARES_H
#define EV_SQUARES_H

#include <stddef.h>

enum { SQUARE_LANES = 16, SQUARE_BLOCK = 64 * SQUARE_LANES };

/* Return the end of the block that begins at value `first` of n. */
static inline size_t block_end(size_t first, size_t n)
{
    return n - first < SQUARE_BLOCK ? n : first + SQUARE_BLOCK;
}

/* Write out[i] = ((x[i] - y[i]) * scale[i * step])^2 for first <= i < end, where `first` is in lane
 * 0, and return the sum of the lanes with these squares. */
static inline double add_squares(float *lanes, float *out, const float *x, const float *y,
                                 const float *scale, size_t step, size_t first, size_t end)
{
    double sum = 0;
    for (size_t i = first; i < end; i++) {
        float scaled = (x[i] - y[i]) * scale[i * step];
        out[i] = scaled * scaled;
        lanes[(i - first) % SQUARE_LANES] += out[i];
    }
    for (int lane = 0; lane < SQUARE_LANES; lane++)
        sum += lanes[lane];
    return sum;
}

#endif
