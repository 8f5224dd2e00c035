/* What one instruction set implements. dispatch.c cuts every call into spans of whole blocks, so
 * that a kernel sees dense arrays and no ragged edge; kernels_scalar.c is the reference that the
 * others equal to the last bit. */
#ifndef EV_KERNELS_H
#define EV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Consecutive Philox blocks, row after row: the blocks first .. first + per_row - 1 of row `index`,
 * then those of row index + 1, and so on. The rows of a span share the high word of their index,
 * and per_row <= SPAN_BLOCKS: the kernels count rows and blocks in 32 bits. */
struct span {
    uint64_t seed;
    uint64_t index;
    uint32_t first;
    uint32_t per_row;
    uint32_t stream; /* counter word 3: purpose + 256 * draw */
};

#define SPAN_BLOCKS (1u << 28)

struct kernels {
    const char *name;
    int (*runs_here)(void); /* does this CPU have the instructions? */

    /* out[4 * blocks] = the span's words, as they come from Philox. */
    void (*words)(uint32_t *out, const struct span *span, size_t blocks);

    /* out[4 * blocks] = the span's normals. */
    void (*normal)(float *out, const struct span *span, size_t blocks);

    /* out[4 * blocks] = mu + scale_of(logvar) * eps, eps the span's normals. */
    void (*reparameterize)(float *out, const float *mu, const float *logvar,
                           const struct span *span, size_t blocks);

    /* out[n] = scale_of(logvar). */
    void (*scale)(float *out, const float *logvar, size_t n);

    /* out[n] = mean + scale * (temperature * eps). */
    void (*affine)(float *out, const float *mean, const float *scale, const float *eps,
                   float temperature, size_t n);

    /* One line of an image: x[channels][width], channels `plane` floats apart, to
     * out[width][channels]. */
    void (*pack)(uint8_t *out, const float *x, size_t plane, size_t channels, size_t width);
};

/* The vector kernels are written in the vector extension of GCC and clang, for little-endian lanes;
 * other compilers and CPUs get the scalar one. */
#if defined(__GNUC__) && defined(__x86_64__)
#define EV_X86 1
#elif defined(__GNUC__) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define EV_NEON 1
#endif

extern const struct kernels ev_kernels_scalar;
extern const struct kernels ev_kernels_sse2;
extern const struct kernels ev_kernels_avx2;
extern const struct kernels ev_kernels_avx512;
extern const struct kernels ev_kernels_neon;

#endif
