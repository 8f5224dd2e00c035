/* The SSE2 kernel. Every x86-64 CPU has these instructions. */
#include "kernels.h"

#ifdef EV_X86
#include <emmintrin.h>

#define TARGET

enum { LANES = 4, BLOCKS = 2, GROUP = 2 };

#include "vectors.h"

static INLINE u32s mul_low(u32s a, u32s b)
{
    return (u32s)_mm_mul_epu32((__m128i)a, (__m128i)b);
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
    return (u32s)_mm_shuffle_epi32((__m128i)a, 0xb1);
}

static INLINE u32s first_blocks(void)
{
    return (u32s)(u64s){0, 1};
}

static INLINE f32s zip_low(f32s a, f32s b)
{
    return (f32s)_mm_unpacklo_pd((__m128d)a, (__m128d)b);
}

static INLINE f32s zip_high(f32s a, f32s b)
{
    return (f32s)_mm_unpackhi_pd((__m128d)a, (__m128d)b);
}

static INLINE f32s f32s_sqrt(f32s x)
{
    return _mm_sqrt_ps(x);
}

static INLINE f32s f32s_clamp(f32s x, float low, float high)
{
    return _mm_max_ps(_mm_set1_ps(low), _mm_min_ps(_mm_set1_ps(high), x));
}

static INLINE f32s f32s_level(f32s x)
{
    return _mm_min_ps(_mm_max_ps(x, _mm_setzero_ps()), _mm_set1_ps(255.0f));
}

static INLINE void swap_where(u32s bits, f32s *a, f32s *b)
{
    u32s where = (u32s)((i32s)(bits << 30) >> 31);
    u32s differ = ((u32s)*a ^ (u32s)*b) & where;
    *a = (f32s)((u32s)*a ^ differ);
    *b = (f32s)((u32s)*b ^ differ);
}

static INLINE void store_1(uint8_t *out, u32s a, u32s b, u32s c, u32s d)
{
    __m128i ab = _mm_packs_epi32((__m128i)a, (__m128i)b);
    __m128i cd = _mm_packs_epi32((__m128i)c, (__m128i)d);
    _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(ab, cd));
}

/* Without a byte shuffle: close the gap between the two pixels of each half, then between the
 * halves. */
static INLINE void store_3(uint8_t *out, u32s pixels)
{
    u64s two = (u64s)pixels;
    u64s six = (two & 0xffffff) | (two >> 8 & 0xffffff000000);
    __m128i upper = _mm_srli_si128((__m128i)six, 8);
    _mm_storeu_si128((__m128i *)out,
                     _mm_or_si128(_mm_move_epi64((__m128i)six), _mm_slli_si128(upper, 6)));
}

#include "philox_lanes.h"

#include "kernels_body.h"

static int is_supported(void)
{
    return 1;
}

const struct kernels ev_kernels_sse2 = {
    .name = "sse2",
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
