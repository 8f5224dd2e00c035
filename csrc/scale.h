/* logvar becomes the standard deviation exp(logvar / 2), in float32.
 *
 * Domain: every float; logvar is clamped to [-30, 20], and NaN gives NaN. Maximum relative error:
 * 1.9e-7 (tests/native/check_error.c); scale_of(0) is exactly 1.
 *
 * Method: logvar = n 2 ln 2 + f with |f| <= ln 2, then 2^n P(f), the range reduction of Cody and
 * Waite (1980). 2 ln 2 is split into two parts, so that the first product and difference are exact.
 * The coefficients are fitted by coefficients.py. As in normal.h, all kernels perform the same
 * operations in the same order, each rounded separately.
 */
#ifndef EV_SCALE_H
#define EV_SCALE_H

#include "normal.h"

#define LOGVAR_MIN -30.0f
#define LOGVAR_MAX 20.0f

#define EXP_INVERSE 0x1.715476p-1f /* 1 / (2 ln 2) */
#define EXP_ROUND 12583039.0f /* 1.5 * 2^23 + 127: it rounds the sum, whose low bits are n + 127 */
#define EXP_HIGH 0x1.62e4p+0f /* 2 ln 2 = high + low */
#define EXP_LOW 0x1.7f7d1cp-19f

#define EXP_0 0x1p+0f
#define EXP_1 0x1.fffff6p-2f
#define EXP_2 0x1.fffdc6p-4f
#define EXP_3 0x1.555a7ap-6f
#define EXP_4 0x1.573a1cp-9f
#define EXP_5 0x1.0fa31ap-12f

static inline float scale_of(float logvar)
{
    float x = LOGVAR_MAX < logvar ? LOGVAR_MAX : logvar; /* false for NaN, which is kept */
    x = LOGVAR_MIN > x ? LOGVAR_MIN : x;
    float shifted = x * EXP_INVERSE + EXP_ROUND;
    float n = shifted - EXP_ROUND;
    float f = (x - n * EXP_HIGH) - n * EXP_LOW;
    float p = ((((EXP_5 * f + EXP_4) * f + EXP_3) * f + EXP_2) * f + EXP_1) * f + EXP_0;
    return p * bits_float(float_bits(shifted) << 23);
}

#endif
