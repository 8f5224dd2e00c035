/* The reference kernel: one number at a time. The vector kernels must give the same bits. */
#include "extremes.h"
#include "kernels.h"
#include "normal.h"
#include "pack.h"
#include "philox.h"
#include "scale.h"
#include "squares.h"

static int is_supported(void)
{
    return 1;
}

/* Return the words of the span's i-th block. */
static struct philox_words block_words(const struct span *span, size_t i)
{
    uint64_t index = span->index + i / span->blocks_per_row;
    uint32_t block = span->first_block + (uint32_t)(i % span->blocks_per_row);
    struct philox_words counter = {
        {block, (uint32_t)index, (uint32_t)(index >> 32), span->stream}};
    return philox(counter, span->seed);
}

/* Store the four normals of the span's i-th block. */
static void block_normals(float eps[4], const struct span *span, size_t i)
{
    struct philox_words words = block_words(span, i);
    normal_pair(words.w[0], words.w[2], &eps[0], &eps[2]);
    normal_pair(words.w[1], words.w[3], &eps[1], &eps[3]);
}

static void words(uint32_t *out, const struct span *span, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        struct philox_words words = block_words(span, i);
        memcpy(out + 4 * i, words.w, sizeof words.w);
    }
}

static void normal(float *out, const struct span *span, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++)
        block_normals(out + 4 * i, span, i);
}

static void reparameterize(float *out, const float *mu, const float *logvar,
                           const struct span *span, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        float eps[4];
        block_normals(eps, span, i);
        for (size_t j = 4 * i; j < 4 * i + 4; j++)
            out[j] = mu[j] + scale_of(logvar[j]) * eps[j & 3];
    }
}

static void scale(float *out, const float *logvar, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale_of(logvar[i]);
}

static void affine(float *out, const float *mean, const float *scale, const float *eps,
                   float temperature, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = mean[i] + scale[i] * (temperature * eps[i]);
}

static void pack(uint8_t *out, const float *x, size_t plane, size_t channels, size_t width)
{
    pack_pixels(out, x, plane, channels, 0, width);
}

static void extremes(float *least, float *most, const float *x, size_t n)
{
    extremes_of(least, most, x, n);
}

static double squares(float *out, const float *x, const float *y, const float *scale, size_t step,
                      size_t n)
{
    double sum = 0;
    for (size_t first = 0; first < n; first = block_end(first, n)) {
        float lanes[SQUARE_LANES] = {0};
        sum += add_squares(lanes, out, x, y, scale, step, first, block_end(first, n));
    }
    return sum;
}

const struct kernels ev_kernels_scalar = {
    .name = "scalar",
    .is_supported = is_supported,
    .words = words,
    .normal = normal,
    .reparameterize = reparameterize,
    .scale = scale,
    .affine = affine,
    .pack = pack,
    .extremes = extremes,
    .squares = squares,
};
