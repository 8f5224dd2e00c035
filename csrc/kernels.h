/* The functions that a kernel (the code for one instruction set) implements. dispatch.c divides
 * every call into spans of whole blocks, so that a kernel sees contiguous arrays without partial
 * blocks. kernels_scalar.c is the reference: the other kernels give the same bits.
 *
 * The stated errors are against the same formula in exact arithmetic. */
#ifndef EV_KERNELS_H
#define EV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Consecutive Philox blocks, row after row: the blocks first_block .. first_block +
 * blocks_per_row - 1 of row `index`, then those of row index + 1, and so on. All rows of a span
 * have the same high word of their index, and blocks_per_row <= MAX_BLOCKS_PER_ROW, since the
 * kernels count rows and blocks in 32 bits. */
struct span {
    uint64_t seed;
    uint64_t index;
    uint32_t first_block;
    uint32_t blocks_per_row;
    uint32_t stream; /* counter word 3: purpose + 256 * draw */
};

#define MAX_BLOCKS_PER_ROW (1u << 28)

struct kernels {
    const char *name;
    int (*is_supported)(void); /* 1 if this CPU has the instructions, otherwise 0 */

    /* out[4 * blocks] = the span's Philox words. Integers, so there is no error.
     * Source: Salmon et al. 2011, see philox.h. */
    void (*words)(uint32_t *out, const struct span *span, size_t blocks);

    /* out[4 * blocks] = the span's standard normals. Domain: every span. Maximum absolute error:
     * 1.08e-6; |out| <= 6.5556. Source: Box and Muller 1958, see normal.h. */
    void (*normal)(float *out, const struct span *span, size_t blocks);

    /* out[4 * blocks] = mu + exp(logvar / 2) * eps, where eps are the span's normals. Domain: every
     * mu and logvar; logvar is clamped to [-30, 20], and NaN gives NaN. Maximum error:
     * 2.8e-6 exp(logvar / 2) + 2^-24 |out|. Source: Kingma and Welling 2013, section 2.4. */
    void (*reparameterize)(float *out, const float *mu, const float *logvar,
                           const struct span *span, size_t blocks);

    /* out[n] = exp(logvar / 2). Domain: every float; logvar is clamped to [-30, 20], and NaN gives
     * NaN. Maximum relative error: 1.9e-7. Source: see scale.h. */
    void (*scale)(float *out, const float *logvar, size_t n);

    /* out[n] = mean + scale * (temperature * eps). Domain: every float. Each of the three
     * operations is rounded once, so that the error is at most
     * 2^-23 |scale temperature eps| + 2^-24 |out|, unless a product underflows. */
    void (*affine)(float *out, const float *mean, const float *scale, const float *eps,
                   float temperature, size_t n);

    /* One line of an image: x[channels][width], whose channels are `plane` floats apart, becomes
     * out[width][channels]. Domain: every float; values outside [0, 1] are clamped, and NaN gives
     * 0. Maximum error: one level, see pack.h. */
    void (*pack)(uint8_t *out, const float *x, size_t plane, size_t channels, size_t width);

    /* The smallest and the largest of x[n], n >= 1. Domain: every float. Exact, see extremes.h. */
    void (*extremes)(float *least, float *most, const float *x, size_t n);

    /* out[n] = ((x - y) * scale)^2, with scale[i * step] for value i and a step of 0 or 1; returns
     * the sum of out. Domain: every float. Maximum relative error of the sum: 66 * 2^-24, see
     * squares.h. */
    double (*squares)(float *out, const float *x, const float *y, const float *scale, size_t step,
                      size_t n);
};

/* The vector kernels use the vector extension of GCC and clang and need little-endian lanes. Other
 * compilers and CPUs have the scalar kernel only. */
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
