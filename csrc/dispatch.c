/* The entry points: they select a kernel and divide each call into spans of whole blocks.
 *
 * If rows are whole blocks (first_dim % 4 == 0 and dims % 4 == 0), the blocks of all rows follow
 * one another in the output, and one span covers many rows. Any other shape is computed in tiles:
 * the noise, padded to whole blocks, goes to a buffer that fits the first-level cache and is copied
 * or used without the padding. */
#include "edgevae.h"
#include "kernels.h"

#include <string.h>

static const struct kernels *const all_kernels[] = {
    &ev_kernels_scalar,
#if defined EV_X86
    &ev_kernels_sse2,
    &ev_kernels_avx2,
    &ev_kernels_avx512,
#elif defined EV_NEON
    &ev_kernels_neon,
#endif
};

static const struct kernels *active = &ev_kernels_scalar;

const char *ev_kernel_name(size_t i)
{
    for (size_t k = 0; k < sizeof all_kernels / sizeof *all_kernels; k++)
        if (all_kernels[k]->is_supported() && i-- == 0)
            return all_kernels[k]->name;
    return NULL;
}

const char *ev_kernel(void)
{
    return active->name;
}

int ev_select_kernel(const char *name)
{
    for (size_t k = sizeof all_kernels / sizeof *all_kernels; k-- > 0;)
        if (all_kernels[k]->is_supported() && (!name || strcmp(name, all_kernels[k]->name) == 0)) {
            active = all_kernels[k];
            return 0;
        }
    return -1;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- whole blocks ---- */

/* The inputs of a call: its stream and, for a reparameterization, mu and logvar. Both are NULL if
 * the output is the normals themselves. */
struct source {
    const float *mu, *logvar;
    uint64_t seed;
    uint32_t stream;
};

/* Compute a span at out + offset. */
static void run_span(float *out, const struct source *from, size_t offset, struct span span,
                     size_t blocks)
{
    if (from->mu)
        active->reparameterize(out + offset, from->mu + offset, from->logvar + offset, &span,
                               blocks);
    else
        active->normal(out + offset, &span, blocks);
}

/* Return how many of the rows index .. index + rows - 1 have the high word of the first one. */
static size_t rows_before_carry(uint64_t index, size_t rows)
{
    uint64_t left = (UINT64_C(1) << 32) - (uint32_t)index;
    return left < rows ? (size_t)left : rows;
}

/* Compute per_row whole blocks of each of `rows` rows, in spans that a kernel accepts. */
static void run_blocks(float *out, const struct source *from, uint64_t index, uint64_t first_block,
                       size_t rows, size_t per_row)
{
    size_t max_width = min_size(per_row, MAX_BLOCKS_PER_ROW);
    for (size_t row = 0, count; row < rows; row += count) {
        count = max_width == per_row ? rows_before_carry(index + row, rows - row) : 1;
        for (size_t at = 0; at < per_row; at += max_width) {
            size_t width = min_size(max_width, per_row - at);
            struct span span = {
                .seed = from->seed,
                .index = index + row,
                .first_block = (uint32_t)(first_block + at),
                .blocks_per_row = (uint32_t)width,
                .stream = from->stream,
            };
            run_span(out, from, 4 * (row * per_row + at), span, count * width);
        }
    }
}

/* ---- tiles ---- */

enum { TILE = 2048 }; /* floats: 8 KiB, a quarter of the smallest first-level cache */

/* A rectangle of the output and its noise, padded to whole blocks. Row i of the noise starts at
 * eps[i * stride]. */
struct tile {
    size_t row, rows; /* first row and number of rows */
    size_t dim, dims; /* first dimension and number of dimensions */
    size_t stride;
    const float *eps;
};

/* Advance to the next tile of a (rows, dims) output and compute its noise. The first call takes a
 * tile of zeros. Returns 0 after the last tile. */
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
    tile->dims = min_size(dims - tile->dim, TILE - lead);
    size_t per_row = (lead + tile->dims + 3) / 4;
    tile->stride = 4 * per_row;
    /* A row that needs several tiles gets tiles of its own. */
    size_t fit = tile->dims == dims ? TILE / tile->stride : 1;
    tile->rows = min_size(rows - tile->row, fit);
    tile->eps = buffer + lead;
    run_blocks(buffer, from, index + tile->row, start >> 2, tile->rows, per_row);
    return 1;
}

/* ---- the entry points ---- */

static int is_whole_blocks(uint64_t first_dim, size_t dims)
{
    return ((first_dim | dims) & 3) == 0;
}

void ev_normal_f32(float *out, uint64_t seed, uint64_t index, uint64_t first_dim,
                   uint32_t purpose, uint32_t draw, size_t rows, size_t dims)
{
    struct source from = {.seed = seed, .stream = purpose + 256 * draw};
    if (is_whole_blocks(first_dim, dims)) {
        run_blocks(out, &from, index, first_dim >> 2, rows, dims / 4);
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
    active->scale(out, logvar, n);
}

/* Compute one draw of a reparameterization whose rows are not whole blocks. */
static void reparameterize_tiles(float *out, const float *mu, const float *logvar,
                                 const struct source *from, uint64_t index, size_t rows,
                                 size_t dims)
{
    float buffer[TILE], scale[TILE];
    struct tile tile = {0};
    while (next_tile(&tile, buffer, from, index, 0, rows, dims))
        for (size_t i = 0; i < tile.rows; i++) {
            size_t at = (tile.row + i) * dims + tile.dim;
            active->scale(scale, logvar + at, tile.dims);
            active->affine(out + at, mu + at, scale, tile.eps + i * tile.stride, 1.0f, tile.dims);
        }
}

void ev_reparameterize_f32(float *out, const float *mu, const float *logvar, uint64_t seed,
                           uint64_t index, size_t draws, size_t rows, size_t dims)
{
    for (size_t draw = 0; draw < draws; draw++, out += rows * dims) {
        struct source from = {
            .mu = mu,
            .logvar = logvar,
            .seed = seed,
            .stream = EV_POSTERIOR + 256 * (uint32_t)draw,
        };
        if (is_whole_blocks(0, dims)) {
            run_blocks(out, &from, index, 0, rows, dims / 4);
            continue;
        }
        from.mu = from.logvar = NULL;
        reparameterize_tiles(out, mu, logvar, &from, index, rows, dims);
    }
}

enum { PICK_ROWS = 64 }; /* the rows whose components are picked together */

/* Pick each row's component by the alias method (Walker 1977, Vose 1991) from two words of its
 * component block; edgevae.h has the formula. */
static void pick_components(size_t pick[PICK_ROWS], const uint32_t *threshold,
                            const uint32_t *alias, uint64_t seed, uint64_t index,
                            size_t components, size_t rows)
{
    uint32_t words[4 * PICK_ROWS];
    for (size_t row = 0, count; row < rows; row += count) {
        count = rows_before_carry(index + row, rows - row);
        struct span span = {
            .seed = seed,
            .index = index + row,
            .first_block = 0,
            .blocks_per_row = 1,
            .stream = EV_COMPONENT,
        };
        active->words(words + 4 * row, &span, count);
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
    struct source from = {.seed = seed, .stream = EV_PRIOR};
    for (size_t row = 0, count; row < rows; row += count) {
        size_t pick[PICK_ROWS];
        count = min_size(PICK_ROWS, rows - row);
        pick_components(pick, threshold, alias, seed, index + row, components, count);

        float buffer[TILE];
        struct tile tile = {0};
        while (next_tile(&tile, buffer, &from, index + row, 0, count, dims))
            for (size_t i = 0; i < tile.rows; i++) {
                size_t k = pick[tile.row + i] * dims + tile.dim;
                active->affine(out + (row + tile.row + i) * dims + tile.dim, mean + k, scale + k,
                               tile.eps + i * tile.stride, temperature, tile.dims);
            }
    }
}

void ev_pack_f32(uint8_t *out, const float *x, size_t n, size_t channels, size_t height,
                 size_t width, ptrdiff_t item_stride, ptrdiff_t line_stride)
{
    size_t plane = height * width;
    if (line_stride == (ptrdiff_t)(width * channels)) { /* an item's lines form one long line */
        width = plane;
        height = plane ? 1 : 0;
    }
    for (size_t item = 0; item < n; item++, x += channels * plane, out += item_stride)
        for (size_t line = 0; line < height; line++)
            active->pack(out + (ptrdiff_t)line * line_stride, x + line * width, plane, channels,
                         width);
}

void ev_extremes_f32(float *least, float *most, const float *x, size_t n)
{
    active->extremes(least, most, x, n);
}

void ev_squares_f32(double *sums, float *out, const float *x, const float *y, const float *scale,
                    size_t scales, size_t rows, size_t size)
{
    size_t step = scales == 1 ? 0 : 1;
    for (size_t row = 0, at = 0; row < rows; row++, at += size)
        sums[row] = active->squares(out + at, x + at, y + at, scale, step, size);
}
