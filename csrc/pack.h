/* A float in [0, 1] becomes a uint8 level: floor(x * 255 + 0.5), so that halves round up.
 *
 * Domain: every float; values outside [0, 1] are clamped, and NaN gives 0. Maximum error: one
 * level, and only if the exact x * 255 + 0.5 is less than 2^-17 below an integer, which the
 * rounding of the product and the sum can reach (128 of the floats in [0, 1]). */
#ifndef EV_PACK_H
#define EV_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Return the level of x. */
static inline uint8_t level_of(float x)
{
    float level = x * 255.0f + 0.5f;
    level = level > 0.0f ? level : 0.0f; /* false for NaN */
    return (uint8_t)(level < 255.0f ? level : 255.0f);
}

/* Convert the pixels start .. width - 1 of a line, as `pack` of struct kernels does. */
static inline void pack_pixels(uint8_t *out, const float *x, size_t plane, size_t channels,
                               size_t start, size_t width)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = start; i < width; i++)
            out[i * channels + c] = level_of(x[c * plane + i]);
}

#endif
