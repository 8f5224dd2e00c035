/* edgevae: the C API. C11, no Python.h, no malloc, no global state but the kernel table.
 *
 * Outputs first, then inputs, then sizes. Every array is dense, row-major and aligned to its
 * element; arguments are trusted: the binding has checked them. A row's noise is a pure function
 * of (seed, index, dimension, purpose, draw), never of how the work was cut: see philox.h for the
 * counter and normal.h for the transform (together: stream 1).
 */
#ifndef EDGEVAE_H
#define EDGEVAE_H

#include <stddef.h>
#include <stdint.h>

enum ev_purpose {
    EV_PRIOR = 0,      /* eps of a draw from the prior */
    EV_POSTERIOR = 1,  /* eps of reparameterize */
    EV_COMPONENT = 2,  /* which component of a mixture prior */
    EV_CORRUPTION = 3  /* noise added to data */
};

/* out[rows][dims] = standard normals for rows index .. index + rows - 1 (modulo 2^64) and
 * dimensions first_dim .. first_dim + dims - 1. draw < 2^24, first_dim + dims <= 2^34. */
void ev_normal_f32(float *out, uint64_t seed, uint64_t index, uint64_t first_dim,
                   uint32_t purpose, uint32_t draw, size_t rows, size_t dims);

/* out[n] = exp(logvar[n] / 2), logvar clamped to [-30, 20]; exp(0) is exactly 1. */
void ev_scale_f32(float *out, const float *logvar, size_t n);

/* out[rows][dims] = mean[k] + scale[k] * (temperature * eps), k the row's component. Component:
 * words (w0, w1) of Philox block 0 under purpose EV_COMPONENT; j = (w0 * components) >> 32;
 * k = w1 < threshold[j] ? j : alias[j]. eps: purpose EV_PRIOR. */
void ev_mixture_f32(float *out, const float *mean, const float *scale, const uint32_t *threshold,
                    const uint32_t *alias, uint64_t seed, uint64_t index, float temperature,
                    size_t components, size_t rows, size_t dims);

/* out[draws][rows][dims] = mu + exp(logvar / 2) * eps, eps of purpose EV_POSTERIOR and draws
 * 0 .. draws - 1, never stored. logvar is clamped to [-30, 20]. */
void ev_reparameterize_f32(float *out, const float *mu, const float *logvar, uint64_t seed,
                           uint64_t index, size_t draws, size_t rows, size_t dims);

/* out = floor(x * 255 + 0.5) clamped to [0, 255], NaN to 0: float x[n][channels][height][width]
 * to uint8 [n][height][width][channels]. Pixels of a line are adjacent; item_stride and
 * line_stride are in bytes, so that a batch lands in a contact sheet. */
void ev_pack_f32(uint8_t *out, const float *x, size_t n, size_t channels, size_t height,
                 size_t width, ptrdiff_t item_stride, ptrdiff_t line_stride);

/* Copies parts[0 .. count - 1], of bytes[i] bytes each, one after the other into out. */
void ev_gather(void *out, const void *const *parts, const size_t *bytes, size_t count);

/* The inverse: copies consecutive stretches of in to parts[0 .. count - 1]. */
void ev_scatter(void *const *parts, const void *in, const size_t *bytes, size_t count);

/* Probes the CPU and chooses the best kernel, or the one that is named (NULL: the best). Returns 0,
 * or -1 where no kernel of that name runs here; the choice is then unchanged. Call once, before
 * anything else; not safe against concurrent calls. */
int ev_select_kernel(const char *name);

/* The name of the kernel in use, and of the i-th of the kernels that run on this CPU, slowest
 * first (NULL past the last). */
const char *ev_kernel(void);
const char *ev_kernel_name(size_t i);

#endif
