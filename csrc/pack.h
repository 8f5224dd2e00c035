/* A float in [0, 1] -> its uint8 level: floor(x * 255 + 0.5), clamped to [0, 255], NaN to 0. */
#ifndef EV_PACK_H
#define EV_PACK_H

#include <stddef.h>
#include <stdint.h>

static inline uint8_t level_of(float x)
{
    float level = x * 255.0f + 0.5f;
    level = level > 0.0f ? level : 0.0f; /* false for NaN */
    return (uint8_t)(level < 255.0f ? level : 255.0f);
}

/* Pixels start .. width - 1 of a line: see struct kernels. */
static inline void pack_pixels(uint8_t *out, const float *x, size_t plane, size_t channels,
                               size_t start, size_t width)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t i = start; i < width; i++)
            out[i * channels + c] = level_of(x[c * plane + i]);
}

#endif
