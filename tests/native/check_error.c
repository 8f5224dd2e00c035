/* Print the largest errors of normal_pair and scale_of against the same formulas in float64, and
 * the largest normal: check_error [stride]. Stride 1 visits every radius and every angle. */
#include "normal.h"
#include "scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;

static double exact_radius(uint32_t a)
{
    return sqrt(-2 * log((float)(int32_t)((a & 0x7fffffff) | 1) * 0x1p-31));
}

/* Return the largest error of both normals over all angles, for the radius of the word a. */
static double pair_error(uint32_t a, uint32_t stride)
{
    double worst = 0, r = exact_radius(a);
    for (uint32_t b = 0; b < 1u << 23; b += stride) {
        float c, s;
        double angle = ((double)b * 0x1p-23 - 0.5) * PI / 2;
        normal_pair(a, b << 9, &c, &s);
        worst = fmax(worst, fmax(fabs(c - r * cos(angle)), fabs(s - r * sin(angle))));
    }
    return worst;
}

int main(int argc, char **argv)
{
    uint32_t stride = argc > 1 ? (uint32_t)atoi(argv[1]) : 1;

    /* Every float32 u: odd integers to 2^24, then steps of half a unit in the last place. */
    double radius = 0;
    for (uint64_t a = 1; a < UINT64_C(1) << 31; a += stride * (a < 1 << 24 ? 2 : (a >> 24) | 1))
        radius = fmax(radius, fabs(normal_radius((uint32_t)a) - exact_radius((uint32_t)a)));

    /* Every angle, at the largest radii, whose absolute error is largest, and at some others. */
    double normal = 0;
    for (uint32_t a = 1; a < 64; a += 2)
        normal = fmax(normal, pair_error(a, stride));
    for (uint32_t bit = 6; bit < 31; bit++)
        normal = fmax(normal, pair_error(0x55555555u >> bit, stride));

    double scale = 0;
    for (double x = -30; x <= 20; x += 1e-6 * stride) {
        double exact = exp((double)(float)x / 2);
        scale = fmax(scale, fabs(scale_of((float)x) - exact) / exact);
    }
    printf("radius %.3g\nnormal %.3g\nscale %.3g\nlargest %.6g\n", radius, normal, scale,
           normal_radius(0));
    return 0;
}
