/* Two uint32 become two independent standard normals: the Box-Muller transform (Box and Muller,
 * "A note on the generation of random normal deviates", 1958) in float32, as stream 1 defines it.
 *
 *   radius  u = float32((a & 0x7fffffff) | 1) / 2^31 in (0, 1],  r = sqrt(-2 ln u)
 *   angle   q = (b >> 9) / 2^23 - 1/2 in [-1/2, 1/2),  c = cos(pi q / 2),  s = sin(pi q / 2);
 *           bit 0 of b negates c; then bit 1 swaps c and s
 *   result  (r c, r s)
 *
 * Logarithm: u = m 2^e with m in [sqrt(1/2), sqrt(2)), t = (m - 1) / (m + 1), -2 ln m = t P(t^2).
 * The expansion is around u = 1, so that small radii keep their relative precision. The code holds
 * u * 2^31 and e * 2^23: the quotient t is the same, and LN_EXPONENT contains the factor.
 *
 * Domain: every a and b. Maximum absolute error against the same formula in float64: 1.08e-6;
 * |result| <= 6.5556 (tests/native/check_error.c). The coefficients are fitted by coefficients.py.
 *
 * All kernels perform these float32 operations in this order, each rounded to nearest and none
 * fused, so that their bits are equal.
 */
#ifndef EV_NORMAL_H
#define EV_NORMAL_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "float32 arithmetic must be rounded to float32: on x86 compile with -msse2 -mfpmath=sse"
#endif

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#else
#include <math.h>
#endif

#define LN_SPLIT 0x4eb504f3       /* the bits of sqrt(1/2) 2^31, where the exponent changes */
#define LN_ONE 0x1p31f            /* m = 1 */
#define LN_EXPONENT -0x1.62e43p-23f /* -2 ln 2 / 2^23 */
#define LN_0 -0x1p+2f
#define LN_1 -0x1.5546dcp+0f
#define LN_2 -0x1.a5e85ep-1f

#define COS_0 0x1p+0f
#define COS_1 -0x1.3bd3a4p+0f
#define COS_2 0x1.03b196p-2f
#define COS_3 -0x1.4eaad2p-6f

#define SIN_0 0x1.921fb4p+0f
#define SIN_1 -0x1.4abb68p-1f
#define SIN_2 0x1.46496cp-4f
#define SIN_3 -0x1.2a7638p-8f

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The IEEE square root as one instruction; sqrtf may call libm in order to set errno. */
static inline float f32_sqrt(float x)
{
#if defined(__SSE2__) || defined(_M_X64)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
#elif defined(__aarch64__)
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0);
#else
    return sqrtf(x);
#endif
}

/* Return r = sqrt(-2 ln u). */
static inline float normal_radius(uint32_t a)
{
    float u = (float)(int32_t)((a & 0x7fffffff) | 1);
    uint32_t exponent = (float_bits(u) - LN_SPLIT) & 0xff800000;
    float m = bits_float(float_bits(u) - exponent);
    float t = (m - LN_ONE) / (m + LN_ONE);
    float t2 = t * t;
    float p = (LN_2 * t2 + LN_1) * t2 + LN_0;
    return f32_sqrt((float)(int32_t)exponent * LN_EXPONENT + t * p);
}

/* Store the two normals of the words a and b. */
static inline void normal_pair(uint32_t a, uint32_t b, float *first, float *second)
{
    float q = bits_float((b >> 9) | 0x3f800000) - 1.5f;
    float q2 = q * q;
    float c = ((COS_3 * q2 + COS_2) * q2 + COS_1) * q2 + COS_0;
    float s = (((SIN_3 * q2 + SIN_2) * q2 + SIN_1) * q2 + SIN_0) * q;
    c = bits_float(float_bits(c) ^ (b << 31));
    float r = normal_radius(a);
    *first = r * (b & 2 ? s : c);
    *second = r * (b & 2 ? c : s);
}

#endif
