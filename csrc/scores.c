/* Sums in float64 over the latents of each row, which anomaly scores consist of. */
#include "edgevae.h"

#include <math.h>

void ev_distance_f32(double *distances, const float *x, const float *mean, const float *matrix,
                     size_t rows, size_t dims, size_t directions)
{
    for (size_t row = 0; row < rows; row++, x += dims) {
        float white[EV_MAX_DIRECTIONS] = {0};
        for (size_t i = 0; i < dims; i++) {
            float offset = x[i] - mean[i];
            for (size_t k = 0; k < directions; k++)
                white[k] += offset * matrix[i * directions + k];
        }
        double sum = 0;
        for (size_t k = 0; k < directions; k++)
            sum += (double)white[k] * white[k];
        distances[row] = sqrt(sum);
    }
}

void ev_divergence_f32(double *nats, const float *mu, const float *logvar, size_t rows, size_t dims)
{
    for (size_t row = 0; row < rows; row++) {
        double sum = 0;
        for (size_t i = row * dims; i < (row + 1) * dims; i++) {
            double v = logvar[i], m = mu[i];
            /* expm1, because exp(v) - 1 loses all digits of a small v. */
            sum += expm1(v) - v + m * m;
        }
        nats[row] = sum / 2;
    }
}
