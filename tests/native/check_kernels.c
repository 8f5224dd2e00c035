/* Compare every kernel with the scalar one, bit for bit, through the public entry points:
 * check_kernels [largest] [offsets] [step]
 *
 * The sizes are every step-th number from 0 to largest. A row of each size starts 0 .. offsets - 1
 * floats after a 64-byte boundary, and at some of these offsets a matrix of about that size does. The
 * seed, index, first dimension, purpose and draw are random. Memory next to the output must not
 * change. NaN equals NaN. The scalar kernel, which is slow, computes each result once. */
#include "edgevae.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 4097, MARGIN = 32, COMPONENTS = 37, OFFSETS = 16 };
enum { CAPACITY = (2 * LARGEST + 3 * MARGIN) / 16 * 16, /* floats, whole lines of 64 bytes */
       PARAMETERS = (COMPONENTS * LARGEST + MARGIN) / 16 * 16 };

static _Alignas(64) float want[CAPACITY], got[CAPACITY];
static _Alignas(64) uint8_t want_bytes[4 * CAPACITY], got_bytes[4 * CAPACITY];
/* Copy k of each input begins at its element k, so that its offset is that of the output. */
static _Alignas(64) float mu[OFFSETS][CAPACITY], logvar[OFFSETS][CAPACITY];
static _Alignas(64) float mean[OFFSETS][PARAMETERS], spread[OFFSETS][PARAMETERS];
static uint32_t threshold[COMPONENTS], alias[COMPONENTS];
static long checks, failures;

static uint64_t state = 88172645463325252u;

static uint64_t number(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* The arguments of one call, and the offsets from `offset` on, before `end`, to make it at. */
struct shape {
    uint64_t seed, index, first_dim;
    uint32_t purpose, draw;
    size_t rows, dims, offset, end;
};

static struct shape shape_of(size_t rows, size_t dims, size_t offset, size_t end)
{
    struct shape shape = {number(), number(), number() % (UINT64_C(1) << 34), number() % 4,
                          number() % (1 << 24), rows, dims, offset, end};
    if (number() % 4 == 0) /* the index carries into its high word, or wraps */
        shape.index = (number() % 2 ? shape.index << 32 : 0) - number() % (rows + 1);
    shape.first_dim -= shape.first_dim < dims ? 0 : dims;
    if (number() % 2)
        shape.first_dim &= ~(uint64_t)3;
    return shape;
}

static void report(const char *what, struct shape s, size_t at, double expected, double got_value)
{
    if (failures++ < 10)
        printf("FAIL %s %s: rows %zu dims %zu offset %zu seed %" PRIu64 " index %" PRIu64
               " first_dim %" PRIu64 " at %zu: want %a got %a\n",
               ev_kernel(), what, s.rows, s.dims, s.offset, s.seed, s.index, s.first_dim, at,
               expected, got_value);
}

/* Make the call with the scalar kernel at the first offset, and then with every other kernel at all
 * offsets, on arrays with margins. */
static void check(const char *what, struct shape s, size_t n, void (*call)(float *, struct shape))
{
    size_t total = n + 2 * MARGIN;
    memset(want, 0xa5, total * sizeof *want);
    ev_select_kernel("scalar");
    call(want + MARGIN, s);
    const char *kernel;
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++) {
        ev_select_kernel(kernel);
        for (struct shape at = s; at.offset < s.end; at.offset++, checks++) {
            float *shifted = got + at.offset;
            memset(got, 0xa5, (at.offset + total) * sizeof *got);
            call(shifted + MARGIN, at);
            if (memcmp(want, shifted, total * sizeof *want) == 0)
                continue;
            for (size_t i = 0; i < total; i++)
                if (memcmp(want + i, shifted + i, sizeof *want) &&
                    !(isnan(want[i]) && isnan(shifted[i]))) {
                    report(what, at, i, want[i], shifted[i]);
                    break;
                }
        }
    }
}

static void call_normal(float *out, struct shape s)
{
    ev_normal_f32(out, s.seed, s.index, s.first_dim, s.purpose, s.draw, s.rows, s.dims);
}

static void call_scale(float *out, struct shape s)
{
    ev_scale_f32(out, logvar[s.offset] + s.offset, s.rows * s.dims);
}

static void call_reparameterize(float *out, struct shape s)
{
    ev_reparameterize_f32(out, mu[s.offset] + s.offset, logvar[s.offset] + s.offset, s.seed,
                          s.index, 1, s.rows, s.dims);
}

static void call_two_draws(float *out, struct shape s)
{
    ev_reparameterize_f32(out, mu[s.offset] + s.offset, logvar[s.offset] + s.offset, s.seed,
                          s.index, 2, s.rows, s.dims);
}

static void call_mixture(float *out, struct shape s)
{
    ev_mixture_f32(out, mean[s.offset] + s.offset, spread[s.offset] + s.offset, threshold, alias,
                   s.seed, s.index, 0.7f, COMPONENTS - 1, s.rows, s.dims);
}

/* Without numbers the extremes are not defined. */
static void call_extremes(float *out, struct shape s)
{
    if (s.rows * s.dims > 0)
        ev_extremes_f32(out, out + 1, mu[s.offset] + s.offset, s.rows * s.dims);
}

/* The squares, followed by the bytes of their sums. */
static void call_squares(float *out, struct shape s)
{
    double sums[s.rows + 1];
    ev_squares_f32(sums, out, mu[s.offset] + s.offset, logvar[s.offset] + s.offset,
                   spread[s.offset] + s.offset, s.seed & 1 ? 1 : s.dims, s.rows, s.dims);
    memcpy(out + s.rows * s.dims, sums, s.rows * sizeof *sums);
}

/* Pack up to rows x dims numbers as an image of 1 to 5 channels and 1 to 3 lines, with gaps between
 * the lines. */
static void check_pack(struct shape s)
{
    size_t channels = 1 + number() % 5, height = 1 + number() % 3, gap = number() % 3;
    size_t width = s.rows * s.dims / (channels * height);
    ptrdiff_t line = (ptrdiff_t)(width * channels + gap), item = line * (ptrdiff_t)height;
    size_t total = (size_t)item + 2 * MARGIN;
    memset(want_bytes, 0xa5, total);
    ev_select_kernel("scalar");
    ev_pack_f32(want_bytes + MARGIN, mu[s.offset] + s.offset, 1, channels, height, width, item,
                line);
    const char *kernel;
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++) {
        ev_select_kernel(kernel);
        for (struct shape at = s; at.offset < s.end; at.offset++, checks++) {
            uint8_t *shifted = got_bytes + at.offset;
            memset(got_bytes, 0xa5, at.offset + total);
            ev_pack_f32(shifted + MARGIN, mu[at.offset] + at.offset, 1, channels, height, width,
                        item, line);
            if (memcmp(want_bytes, shifted, total) == 0)
                continue;
            for (size_t i = 0; i < total; i++)
                if (want_bytes[i] != shifted[i]) {
                    report("pack", at, i, want_bytes[i], shifted[i]);
                    break;
                }
        }
    }
}

static void check_shape(struct shape s)
{
    size_t n = s.rows * s.dims;
    check("normal", s, n, call_normal);
    check("scale", s, n, call_scale);
    check("reparameterize", s, n, call_reparameterize);
    check("mixture", s, n, call_mixture);
    check("extremes", s, 2, call_extremes);
    if (s.rows < 256)
        check("squares", s, n + 2 * s.rows, call_squares);
    if (n < 256)
        check("two draws", s, 2 * n, call_two_draws);
    check_pack(s);
}

/* Fill the other copies of an input, of n floats each, with the content of the first. */
static void copy_to_offsets(float *copies, size_t n)
{
    for (size_t k = 1; k < OFFSETS; k++)
        memcpy(copies + k * n + k, copies, (n - k) * sizeof *copies);
}

static void make_inputs(void)
{
    static const float special[] = {NAN,     -NAN,   INFINITY, -INFINITY, 0.0f,    -0.0f, 1e-42f,
                                    -1e-42f, -30.0f, -30.001f, 20.0f,     20.001f, 3e38f, 255.0f};
    for (size_t i = 0; i < CAPACITY; i++) {
        float uniform = (float)(number() >> 40) * 0x1p-24f;
        mu[0][i] = uniform * 1.5f - 0.25f;
        logvar[0][i] = uniform * 60.0f - 35.0f;
        if (number() % 16 == 0)
            mu[0][i] = ((float)(number() % 256) + 0.5f) / 255.0f; /* between two levels */
        if (number() % 16 == 0)
            mu[0][i] = special[number() % 14];
        if (number() % 16 == 0)
            logvar[0][i] = special[number() % 14];
    }
    for (size_t i = 0; i < PARAMETERS; i++) {
        mean[0][i] = (float)(number() >> 40) * 0x1p-22f - 2.0f;
        spread[0][i] = (float)(number() >> 40) * 0x1p-23f;
    }
    for (size_t i = 0; i < COMPONENTS; i++) {
        threshold[i] = (uint32_t)number();
        alias[i] = number() % (COMPONENTS - 1);
    }
    copy_to_offsets(*mu, CAPACITY);
    copy_to_offsets(*logvar, CAPACITY);
    copy_to_offsets(*mean, PARAMETERS);
    copy_to_offsets(*spread, PARAMETERS);
}

int main(int argc, char **argv)
{
    size_t largest = argc > 1 ? strtoul(argv[1], NULL, 10) : LARGEST;
    size_t offsets = argc > 2 ? strtoul(argv[2], NULL, 10) : OFFSETS;
    size_t step = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    const char *kernel;
    make_inputs();
    for (size_t size = 0; size <= largest; size += step) {
        check_shape(shape_of(1, size, 0, offsets));
        for (size_t offset = 0; offset < offsets; offset++) {
            if (number() % 4)
                continue;
            size_t dims = 1 + number() % (number() % 2 ? 70 : size + 1);
            check_shape(shape_of(size / dims, dims, offset, offset + 1));
        }
    }
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++)
        printf("compared %s\n", kernel);
    printf("%ld checks, %ld failures\n", checks, failures);
    return failures != 0 || checks == 0;
}
