/* The entry points: choose a kernel, and cut each call into spans of whole blocks.
 *
 * Where rows are whole blocks, (first_dim % 4 == 0 and dims % 4 == 0), the blocks of all rows lie
 * one after the other in the output and a span covers them all. Any other shape goes through tiles:
 * the noise, padded to whole blocks, is made in a buffer that stays in the first-level cache and
 * leaves it without the padding. */
#include "edgevae.h"
#include "kernels.h"

#include <string.h>

static const struct kernels *const built[] = {
    &ev_kernels_scalar,
#if defined EV_X86
    &ev_kernels_sse2,
    &ev_kernels_avx2,
    &ev_kernels_avx512,
#elif defined EV_NEON
    &ev_kernels_neon,
#endif
};

static const struct kernels *kernel = &ev_kernels_scalar;

const char *ev_kernel_name(size_t i)
{
    for (size_t k = 0; k < sizeof built / sizeof *built; k++)
        if (built[k]->runs_here() && i-- == 0)
            return built[k]->name;
    return NULL;
}

const char *ev_kernel(void)
{
    return kernel->name;
}

int ev_select_kernel(const char *name)
{
    for (size_t k = sizeof built / sizeof *built; k-- > 0;)
        if (built[k]->runs_here() && (!name || strcmp(name, built[k]->name) == 0)) {
            kernel = built[k];
            return 0;
        }
    return -1;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- whole blocks ---- */

/* Where a call's output comes from: normals, or (mu and logvar given) a reparameterization. */
struct source {
    const float *mu, *logvar;
    uint64_t seed;
    uint32_t stream;
};

static void run_span(float *out, const struct source *from, size_t offset, struct span span,
                     size_t blocks)
{
    if (from->mu)
        kernel->reparameterize(out + offset, from->mu + offset, from->logvar + offset, &span,
                               blocks);
    else
        kernel->normal(out + offset, &span, blocks);
}

/* How many of `rows` rows from `index` on share the high word of their index. */
static size_t rows_before_carry(uint64_t index, size_t rows)
{
    uint64_t left = (UINT64_C(1) << 32) - (uint32_t)index;
    return left < rows ? (size_t)left : rows;
}

static void run_whole(float *out, const struct source *from, uint64_t index, uint64_t first_block,
                      size_t rows, size_t per_row)
{
    size_t piece = least(per_row, SPAN_BLOCKS);
    for (size_t row = 0, count; row < rows; row += count) {
        count = piece == per_row ? rows_before_carry(index + row, rows - row) : 1;
        for (size_t at = 0; at < per_row; at += piece) {
            size_t width = least(piece, per_row - at);
            struct span span = {from->seed, index + row, (uint32_t)(first_block + at),
                                (uint32_t)width, from->stream};
            run_span(out, from, 4 * (row * per_row + at), span, count * width);
        }
    }
}

/* ---- tiles ---- */

enum { TILE = 2048 }; /* floats: 8 KiB, a quarter of the smallest first-level cache */

/* rows x dims of the output, and its noise padded to whole blocks: row i of it starts at
 * eps[i * stride]. */
struct tile {
    size_t row, rows, dim, dims, stride;
    const float *eps;
};

/* Steps to the next tile of a (rows, dims) output and fills its noise; starts from zeros and
 * returns 0 past the last. */
static int next_tile(struct tile *tile, float buffer[TILE], const struct source *from,
                     uint64_t index, uint64_t first_dim, size_t rows, size_t dims)
{
    tile->dim += tile->dims;
    if (tile->dim >= dims) {
        tile->row += tile->rows;
        tile->dim = 0;
    }
    if (tile->row >= rows || dims == 0)
        return 0;

    uint64_t start = first_dim + tile->dim;
    size_t lead = start & 3;
    tile->dims = least(dims - tile->dim, TILE - lead);
    size_t per_row = (lead + tile->dims + 3) / 4;
    tile->stride = 4 * per_row;
    /* A row that one tile cannot hold is cut alone, so that its tiles line up. */
    size_t fit = tile->dims == dims ? TILE / tile->stride : 1;
    tile->rows = least(rows - tile->row, fit);
    tile->eps = buffer + lead;
    run_whole(buffer, from, index + tile->row, start >> 2, tile->rows, per_row);
    return 1;
}

/* ---- the entry points ---- */

static int whole_blocks(uint64_t first_dim, size_t dims)
{
    return ((first_dim | dims) & 3) == 0;
}

void ev_normal_f32(float *out, uint64_t seed, uint64_t index, uint64_t first_dim,
                   uint32_t purpose, uint32_t draw, size_t rows, size_t dims)
{
    struct source from = {NULL, NULL, seed, purpose + 256 * draw};
    if (whole_blocks(first_dim, dims)) {
        run_whole(out, &from, index, first_dim >> 2, rows, dims / 4);
        return;
    }
    float buffer[TILE];
    struct tile tile = {0};
    while (next_tile(&tile, buffer, &from, index, first_dim, rows, dims))
        for (size_t i = 0; i < tile.rows; i++)
            memcpy(out + (tile.row + i) * dims + tile.dim, tile.eps + i * tile.stride,
                   tile.dims * sizeof *out);
}

void ev_scale_f32(float *out, const float *logvar, size_t n)
{
    kernel->scale(out, logvar, n);
}

static void reparameterize_tiles(float *out, const float *mu, const float *logvar,
                                 const struct source *from, uint64_t index, size_t rows,
                                 size_t dims)
{
    float buffer[TILE], scale[TILE];
    struct tile tile = {0};
    while (next_tile(&tile, buffer, from, index, 0, rows, dims))
        for (size_t i = 0; i < tile.rows; i++) {
            size_t at = (tile.row + i) * dims + tile.dim;
            kernel->scale(scale, logvar + at, tile.dims);
            kernel->affine(out + at, mu + at, scale, tile.eps + i * tile.stride, 1.0f, tile.dims);
        }
}

void ev_reparameterize_f32(float *out, const float *mu, const float *logvar, uint64_t seed,
                           uint64_t index, size_t draws, size_t rows, size_t dims)
{
    for (size_t draw = 0; draw < draws; draw++, out += rows * dims) {
        struct source from = {mu, logvar, seed, EV_POSTERIOR + 256 * (uint32_t)draw};
        if (whole_blocks(0, dims)) {
            run_whole(out, &from, index, 0, rows, dims / 4);
            continue;
        }
        from.mu = from.logvar = NULL;
        reparameterize_tiles(out, mu, logvar, &from, index, rows, dims);
    }
}

enum { PICKS = 64 }; /* rows whose components are picked at a time */

/* Vose's alias method on two words of the row's component block. */
static void pick_components(size_t pick[PICKS], const uint32_t *threshold, const uint32_t *alias,
                            uint64_t seed, uint64_t index, size_t components, size_t rows)
{
    uint32_t words[4 * PICKS];
    for (size_t row = 0, count; row < rows; row += count) {
        count = rows_before_carry(index + row, rows - row);
        struct span span = {seed, index + row, 0, 1, EV_COMPONENT};
        kernel->words(words + 4 * row, &span, count);
    }
    for (size_t row = 0; row < rows; row++) {
        size_t j = (size_t)((uint64_t)words[4 * row] * components >> 32);
        pick[row] = words[4 * row + 1] < threshold[j] ? j : alias[j];
    }
}

void ev_mixture_f32(float *out, const float *mean, const float *scale, const uint32_t *threshold,
                    const uint32_t *alias, uint64_t seed, uint64_t index, float temperature,
                    size_t components, size_t rows, size_t dims)
{
    struct source from = {NULL, NULL, seed, EV_PRIOR};
    for (size_t row = 0, count; row < rows; row += count) {
        size_t pick[PICKS];
        count = least(PICKS, rows - row);
        pick_components(pick, threshold, alias, seed, index + row, components, count);

        float buffer[TILE];
        struct tile tile = {0};
        while (next_tile(&tile, buffer, &from, index + row, 0, count, dims))
            for (size_t i = 0; i < tile.rows; i++) {
                size_t k = pick[tile.row + i] * dims + tile.dim;
                kernel->affine(out + (row + tile.row + i) * dims + tile.dim, mean + k, scale + k,
                               tile.eps + i * tile.stride, temperature, tile.dims);
            }
    }
}

void ev_pack_f32(uint8_t *out, const float *x, size_t n, size_t channels, size_t height,
                 size_t width, ptrdiff_t item_stride, ptrdiff_t line_stride)
{
    size_t plane = height * width;
    if (line_stride == (ptrdiff_t)(width * channels)) { /* an item is one long line */
        width = plane;
        height = plane ? 1 : 0;
    }
    for (size_t item = 0; item < n; item++, x += channels * plane, out += item_stride)
        for (size_t line = 0; line < height; line++)
            kernel->pack(out + (ptrdiff_t)line * line_stride, x + line * width, plane, channels,
                         width);
}

void ev_gather(void *out, const void *const *parts, const size_t *bytes, size_t count)
{
    char *to = out;
    for (size_t i = 0; i < count; to += bytes[i++])
        memcpy(to, parts[i], bytes[i]);
}

void ev_scatter(void *const *parts, const void *in, const size_t *bytes, size_t count)
{
    const char *from = in;
    for (size_t i = 0; i < count; from += bytes[i++])
        memcpy(parts[i], from, bytes[i]);
}
