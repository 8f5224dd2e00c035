/* The AVX2 kernel. It does not use FMA, since a fused operation would change the stream. */
#include "kernels.h"

#ifdef EV_X86
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))

enum { LANES = 8, BLOCKS = 4, GROUP = 2 };

#include "vectors.h"

static INLINE u32s mul_low(u32s a, u32s b)
{
    return (u32s)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}

static INLINE u32s xor3(u32s a, u32s b, u32s c)
{
    return a ^ b ^ c;
}

static INLINE u32s xor3_low(u32s a, u32s b, u32s c)
{
    return a ^ ((b ^ c) & (u32s)((u64s){0} + UINT32_MAX));
}

static INLINE u32s swap_halves(u32s a)
{
    return (u32s)_mm256_shuffle_epi32((__m256i)a, 0xb1);
}

static INLINE u32s first_blocks(void)
{
    return (u32s)(u64s){0, 2, 1, 3};
}

static INLINE f32s zip_low(f32s a, f32s b)
{
    return (f32s)_mm256_unpacklo_pd((__m256d)a, (__m256d)b);
}

static INLINE f32s zip_high(f32s a, f32s b)
{
    return (f32s)_mm256_unpackhi_pd((__m256d)a, (__m256d)b);
}

static INLINE f32s f32s_sqrt(f32s x)
{
    return _mm256_sqrt_ps(x);
}

static INLINE f32s f32s_clamp(f32s x, float low, float high)
{
    return _mm256_max_ps(_mm256_set1_ps(low), _mm256_min_ps(_mm256_set1_ps(high), x));
}

static INLINE f32s f32s_level(f32s x)
{
    return _mm256_min_ps(_mm256_max_ps(x, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
}

static INLINE void swap_where(u32s bits, f32s *a, f32s *b)
{
    f32s where = (f32s)(bits << 30); /* blendv tests the sign bit */
    f32s was = *a;
    *a = _mm256_blendv_ps(was, *b, where);
    *b = _mm256_blendv_ps(*b, was, where);
}

static INLINE void store_1(uint8_t *out, u32s a, u32s b, u32s c, u32s d)
{
    __m256i ab = _mm256_packs_epi32((__m256i)a, (__m256i)b);
    __m256i cd = _mm256_packs_epi32((__m256i)c, (__m256i)d);
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order);
    _mm256_storeu_si256((__m256i *)out, bytes);
}

static INLINE void store_3(uint8_t *out, u32s pixels)
{
    __m256i bytes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    __m256i order = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 3);
    __m256i dense = _mm256_shuffle_epi8((__m256i)pixels, bytes);
    _mm256_storeu_si256((__m256i *)out, _mm256_permutevar8x32_epi32(dense, order));
}

#include "philox_lanes.h"

#include "kernels_body.h"

static int is_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");
}

const struct kernels ev_kernels_avx2 = {
    .name = "avx2",
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
