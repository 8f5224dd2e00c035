/* Compare every kernel with the scalar one, bit for bit, through the public entry points:
 * check_kernels [largest] [offsets] [step]
 *
 * The sizes are every step-th number from 0 to largest. Arrays start 0 .. offsets - 1 floats after
 * a 64-byte boundary and are one row or, at random, a matrix. The seed, index, first dimension,
 * purpose and draw are random. Memory next to the output must not change. NaN equals NaN. */
#include "edgevae.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 4097, MARGIN = 32, CAPACITY = 2 * LARGEST + 2 * MARGIN, COMPONENTS = 37 };

static _Alignas(64) float want[CAPACITY], got[CAPACITY], mu[CAPACITY], logvar[CAPACITY];
static _Alignas(64) uint8_t want_bytes[4 * CAPACITY], got_bytes[4 * CAPACITY];
static float mean[COMPONENTS * LARGEST], spread[COMPONENTS * LARGEST];
static uint32_t threshold[COMPONENTS], alias[COMPONENTS];
static long checks, failures;

static uint64_t state = 88172645463325252u;

static uint64_t number(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* The arguments of one call. */
struct shape {
    uint64_t seed, index, first_dim;
    uint32_t purpose, draw;
    size_t rows, dims, offset;
};

static struct shape shape_of(size_t rows, size_t dims, size_t offset)
{
    struct shape shape = {number(), number(), number() % (UINT64_C(1) << 34), number() % 4,
                          number() % (1 << 24), rows, dims, offset};
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

/* Make the call with the scalar kernel and then with every other one, on arrays with margins. */
static void check(const char *what, struct shape s, size_t n, void (*call)(float *, struct shape))
{
    size_t total = n + s.offset + 2 * MARGIN;
    memset(want, 0xa5, total * sizeof *want);
    ev_select_kernel("scalar");
    call(want + MARGIN + s.offset, s);
    const char *kernel;
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++) {
        memset(got, 0xa5, total * sizeof *got);
        ev_select_kernel(kernel);
        call(got + MARGIN + s.offset, s);
        checks++;
        if (memcmp(want, got, total * sizeof *want) == 0)
            continue;
        for (size_t i = 0; i < total; i++)
            if (memcmp(want + i, got + i, sizeof *want) && !(isnan(want[i]) && isnan(got[i]))) {
                report(what, s, i, want[i], got[i]);
                break;
            }
    }
}

static void call_normal(float *out, struct shape s)
{
    ev_normal_f32(out, s.seed, s.index, s.first_dim, s.purpose, s.draw, s.rows, s.dims);
}

static void call_scale(float *out, struct shape s)
{
    ev_scale_f32(out, logvar + s.offset, s.rows * s.dims);
}

static void call_reparameterize(float *out, struct shape s)
{
    ev_reparameterize_f32(out, mu + s.offset, logvar + s.offset, s.seed, s.index, 1, s.rows,
                          s.dims);
}

static void call_two_draws(float *out, struct shape s)
{
    ev_reparameterize_f32(out, mu + s.offset, logvar + s.offset, s.seed, s.index, 2, s.rows,
                          s.dims);
}

static void call_mixture(float *out, struct shape s)
{
    ev_mixture_f32(out, mean + s.offset, spread + s.offset, threshold, alias, s.seed, s.index,
                   0.7f, COMPONENTS - 1, s.rows, s.dims);
}

/* Pack up to rows x dims numbers as an image of 1 to 5 channels and 1 to 3 lines, with gaps between
 * the lines. */
static void check_pack(struct shape s)
{
    size_t channels = 1 + number() % 5, height = 1 + number() % 3, gap = number() % 3;
    size_t width = s.rows * s.dims / (channels * height);
    ptrdiff_t line = (ptrdiff_t)(width * channels + gap), item = line * (ptrdiff_t)height;
    size_t total = (size_t)item + s.offset + 2 * MARGIN;
    memset(want_bytes, 0xa5, total);
    ev_select_kernel("scalar");
    ev_pack_f32(want_bytes + MARGIN + s.offset, mu + s.offset, 1, channels, height, width, item,
                line);
    const char *kernel;
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++) {
        memset(got_bytes, 0xa5, total);
        ev_select_kernel(kernel);
        ev_pack_f32(got_bytes + MARGIN + s.offset, mu + s.offset, 1, channels, height, width,
                    item, line);
        checks++;
        for (size_t i = 0; i < total; i++)
            if (want_bytes[i] != got_bytes[i]) {
                report("pack", s, i, want_bytes[i], got_bytes[i]);
                break;
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
    if (n < 256)
        check("two draws", s, 2 * n, call_two_draws);
    check_pack(s);
}

static void make_inputs(void)
{
    static const float special[] = {NAN,     -NAN,   INFINITY, -INFINITY, 0.0f,    -0.0f, 1e-42f,
                                    -1e-42f, -30.0f, -30.001f, 20.0f,     20.001f, 3e38f, 255.0f};
    for (size_t i = 0; i < CAPACITY; i++) {
        float uniform = (float)(number() >> 40) * 0x1p-24f;
        mu[i] = uniform * 1.5f - 0.25f;
        logvar[i] = uniform * 60.0f - 35.0f;
        if (number() % 16 == 0)
            mu[i] = ((float)(number() % 256) + 0.5f) / 255.0f; /* between two levels */
        if (number() % 16 == 0)
            mu[i] = special[number() % 14];
        if (number() % 16 == 0)
            logvar[i] = special[number() % 14];
    }
    for (size_t i = 0; i < COMPONENTS * LARGEST; i++) {
        mean[i] = (float)(number() >> 40) * 0x1p-22f - 2.0f;
        spread[i] = (float)(number() >> 40) * 0x1p-23f;
    }
    for (size_t i = 0; i < COMPONENTS; i++) {
        threshold[i] = (uint32_t)number();
        alias[i] = number() % (COMPONENTS - 1);
    }
}

int main(int argc, char **argv)
{
    size_t largest = argc > 1 ? strtoul(argv[1], NULL, 10) : LARGEST;
    size_t offsets = argc > 2 ? strtoul(argv[2], NULL, 10) : 16;
    size_t step = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    const char *kernel;
    make_inputs();
    for (size_t size = 0; size <= largest; size += step)
        for (size_t offset = 0; offset < offsets; offset++) {
            check_shape(shape_of(1, size, offset));
            if (number() % 4)
                continue;
            size_t dims = 1 + number() % (number() % 2 ? 70 : size + 1);
            check_shape(shape_of(size / dims, dims, offset));
        }
    for (size_t k = 1; (kernel = ev_kernel_name(k)); k++)
        printf("compared %s\n", kernel);
    printf("%ld checks, %ld failures\n", checks, failures);
    return failures != 0 || checks == 0;
}
