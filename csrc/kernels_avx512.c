/* The AVX-512 kernel: F, DQ, BW and VL, which every AVX-512 CPU except Knights Landing has. */
#include "kernels.h"

#ifdef EV_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))

enum { LANES = 16, BLOCKS = 8, GROUP = 4 };

#include "vectors.h"

static INLINE u32s mul_low(u32s a, u32s b)
{
    return (u32s)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

static INLINE u32s xor3(u32s a, u32s b, u32s c)
{
    return (u32s)_mm512_ternarylogic_epi32((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}

static INLINE u32s xor3_low(u32s a, u32s b, u32s c)
{
    return (u32s)_mm512_mask_ternarylogic_epi32((__m512i)a, 0x5555, (__m512i)b, (__m512i)c, 0x96);
}

static INLINE u32s swap_halves(u32s a)
{
    return (u32s)_mm512_ror_epi64((__m512i)a, 32);
}

static INLINE u32s first_blocks(void)
{
    return (u32s)(u64s){0, 4, 1, 5, 2, 6, 3, 7};
}

static INLINE f32s zip_low(f32s a, f32s b)
{
    return (f32s)_mm512_unpacklo_pd((__m512d)a, (__m512d)b);
}

static INLINE f32s zip_high(f32s a, f32s b)
{
    return (f32s)_mm512_unpackhi_pd((__m512d)a, (__m512d)b);
}

static INLINE f32s f32s_sqrt(f32s x)
{
    return _mm512_sqrt_ps(x);
}

static INLINE f32s f32s_clamp(f32s x, float low, float high)
{
    return _mm512_max_ps(_mm512_set1_ps(low), _mm512_min_ps(_mm512_set1_ps(high), x));
}

static INLINE f32s f32s_level(f32s x)
{
    return _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
}

static INLINE void swap_where(u32s bits, f32s *a, f32s *b)
{
    __mmask16 where = _mm512_test_epi32_mask((__m512i)bits, _mm512_set1_epi32(2));
    f32s was = *a;
    *a = _mm512_mask_mov_ps(was, where, *b);
    *b = _mm512_mask_mov_ps(*b, where, was);
}

static INLINE void store_1(uint8_t *out, u32s a, u32s b, u32s c, u32s d)
{
    __m512i ab = _mm512_packs_epi32((__m512i)a, (__m512i)b);
    __m512i cd = _mm512_packs_epi32((__m512i)c, (__m512i)d);
    __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd)));
}

static INLINE void store_3(uint8_t *out, u32s pixels)
{
    __m512i bytes = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    __m512i order = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3);
    __m512i dense = _mm512_shuffle_epi8((__m512i)pixels, bytes);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, dense));
}

#include "philox_lanes.h"

#include "kernels_body.h"

static int is_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

const struct kernels ev_kernels_avx512 = {
    .name = "avx512",
    .is_supported = is_supported,
    .words = words,
    .normal = normal,
    .reparameterize = reparameterize,
    .scale = scale,
    .affine = affine,
    .pack = pack,
    .extremes = extremes,
    .squares = squares,
};
#endif
