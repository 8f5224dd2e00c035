/* The C API of edgevae: C11 without Python.h and malloc. The selected kernel is the only global
 * state.
 *
 * Parameters are outputs first, then inputs, then sizes. Every array is contiguous, row-major and
 * aligned to its element. The functions do not check their arguments; edgevae/_core.pyx does.
 *
 * The noise of a row is a pure function of (seed, index, dimension, purpose, draw) and does not
 * depend on how the work is divided into calls. philox.h specifies the counter and normal.h the
 * transform; together they are stream 1, which never changes. README.md explains the code.
 */
#ifndef EDGEVAE_H
#define EDGEVAE_H

#include <stddef.h>
#include <stdint.h>

enum ev_purpose {
    EV_PRIOR = 0,      /* eps of a draw from the prior */
    EV_POSTERIOR = 1,  /* eps of reparameterize */
    EV_COMPONENT = 2,  /* choice of the component of a mixture prior */
    EV_CORRUPTION = 3  /* noise added to data */
};

/* out[rows][dims] = standard normals for rows index .. index + rows - 1 (modulo 2^64) and
 * dimensions first_dim .. first_dim + dims - 1. draw < 2^24, first_dim + dims <= 2^34. */
void ev_normal_f32(float *out, uint64_t seed, uint64_t index, uint64_t first_dim,
                   uint32_t purpose, uint32_t draw, size_t rows, size_t dims);

/* out[n] = exp(logvar[n] / 2), logvar clamped to [-30, 20]; exp(0) is exactly 1. */
void ev_scale_f32(float *out, const float *logvar, size_t n);

/* out[rows][dims] = mean[k] + scale[k] * (temperature * eps), where k is the row's component and
 * eps has purpose EV_PRIOR. The component comes from the words (w0, w1) of Philox block 0 under
 * purpose EV_COMPONENT: j = (w0 * components) >> 32; k = w1 < threshold[j] ? j : alias[j]. */
void ev_mixture_f32(float *out, const float *mean, const float *scale, const uint32_t *threshold,
                    const uint32_t *alias, uint64_t seed, uint64_t index, float temperature,
                    size_t components, size_t rows, size_t dims);

/* out[draws][rows][dims] = mu + exp(logvar / 2) * eps, where eps has purpose EV_POSTERIOR and draws
 * 0 .. draws - 1 and is not stored. logvar is clamped to [-30, 20]. */
void ev_reparameterize_f32(float *out, const float *mu, const float *logvar, uint64_t seed,
                           uint64_t index, size_t draws, size_t rows, size_t dims);

/* out[n][height][width][channels] = floor(x * 255 + 0.5) of float x[n][channels][height][width],
 * clamped to [0, 255], with 0 for NaN. The pixels of a line are adjacent. item_stride and
 * line_stride are in bytes, so that a batch can be written into a contact sheet. */
void ev_pack_f32(uint8_t *out, const float *x, size_t n, size_t channels, size_t height,
                 size_t width, ptrdiff_t item_stride, ptrdiff_t line_stride);

/* *least and *most = the smallest and the largest of x[n], n >= 1. NaN counts as larger than infinity,
 * or as smaller than minus infinity if its sign bit is set, so that both are finite only if every
 * number is. The result is exact. */
void ev_extremes_f32(float *least, float *most, const float *x, size_t n);

/* sums[rows] = the sums of out[rows][size] = ((x - y) * scale)^2, where scale has one number or `size`
 * numbers, as `scales` says. Domain: every float. Each operation is rounded once; the
 * relative error of a sum is at most 66 * 2^-24. The bits are the same everywhere. */
void ev_squares_f32(double *sums, float *out, const float *x, const float *y, const float *scale,
                    size_t scales, size_t rows, size_t size);

enum { EV_MAX_DIRECTIONS = 64 };

/* distances[rows] = |(x - mean) matrix| of x[rows][dims], mean[dims] and matrix[dims][directions],
 * directions <= EV_MAX_DIRECTIONS. Domain: every float. The products are added in float32, in the
 * order of the dimensions; their squares in float64. */
void ev_distance_f32(double *distances, const float *x, const float *mean, const float *matrix,
                     size_t rows, size_t dims, size_t directions);

/* nats[rows] = KL(N(mu, exp(logvar)) || N(0, I)), summed over the dimensions in float64, with the
 * expm1 of the C library. Domain: every float. Source: Kingma and Welling 2014, appendix B. */
void ev_divergence_f32(double *nats, const float *mu, const float *logvar, size_t rows,
                       size_t dims);

/* Select the kernel with this name, or the best one for NULL. Returns 0, or -1 if no such kernel
 * runs on this CPU, in which case the selection does not change. Call it before any other function;
 * it must not run concurrently with them. */
int ev_select_kernel(const char *name);

/* Return the name of the kernel in use. */
const char *ev_kernel(void);

/* Return the name of the i-th of the kernels that run on this CPU, slowest first, or NULL past the
 * last one. */
const char *ev_kernel_name(size_t i);

#endif
