/* The NEON kernel. Every aarch64 CPU has these instructions. */
#include "kernels.h"

#ifdef EV_NEON
#include <arm_neon.h>

#define TARGET

enum { LANES = 4, BLOCKS = 4, GROUP = 2 };

#include "vectors.h"

static INLINE u32s first_blocks(void)
{
    return (u32s){0, 1, 2, 3};
}

static INLINE f32s zip_low(f32s a, f32s b)
{
    return (f32s)vzip1q_u64((uint64x2_t)a, (uint64x2_t)b);
}

static INLINE f32s zip_high(f32s a, f32s b)
{
    return (f32s)vzip2q_u64((uint64x2_t)a, (uint64x2_t)b);
}

static INLINE f32s f32s_sqrt(f32s x)
{
    return (f32s)vsqrtq_f32((float32x4_t)x);
}

static INLINE f32s f32s_clamp(f32s x, float low, float high)
{
    return (f32s)vmaxq_f32(vminq_f32((float32x4_t)x, vdupq_n_f32(high)), vdupq_n_f32(low));
}

static INLINE f32s f32s_level(f32s x)
{
    float32x4_t level = vmaxnmq_f32((float32x4_t)x, vdupq_n_f32(0.0f)); /* 0 if x is NaN */
    return (f32s)vminq_f32(level, vdupq_n_f32(255.0f));
}

static INLINE void swap_where(u32s bits, f32s *a, f32s *b)
{
    uint32x4_t where = vtstq_u32((uint32x4_t)bits, vdupq_n_u32(2));
    f32s was = *a;
    *a = (f32s)vbslq_f32(where, (float32x4_t)*b, (float32x4_t)was);
    *b = (f32s)vbslq_f32(where, (float32x4_t)was, (float32x4_t)*b);
}

static INLINE void store_1(uint8_t *out, u32s a, u32s b, u32s c, u32s d)
{
    uint16x8_t ab = vuzp1q_u16((uint16x8_t)a, (uint16x8_t)b);
    uint16x8_t cd = vuzp1q_u16((uint16x8_t)c, (uint16x8_t)d);
    vst1q_u8(out, vuzp1q_u8((uint8x16_t)ab, (uint8x16_t)cd));
}

static INLINE void store_3(uint8_t *out, u32s pixels)
{
    static const uint8_t bytes[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3};
    vst1q_u8(out, vqtbl1q_u8((uint8x16_t)pixels, vld1q_u8(bytes)));
}

/* Philox on four blocks, one in each lane. A product fills two vectors, and unzipping them
 * separates the low words from the high words. philox_lanes.h describes the functions. */
struct state {
    u32s c0, c1, c2, c3;
};

struct product {
    u32s low, high;
};

static INLINE struct product multiply(u32s a, uint32_t by)
{
    uint32x4_t x = (uint32x4_t)a;
    uint32x4_t front = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(x), by));
    uint32x4_t back = vreinterpretq_u32_u64(vmull_high_n_u32(x, by));
    return (struct product){(u32s)vuzp1q_u32(front, back), (u32s)vuzp2q_u32(front, back)};
}

static INLINE struct state philox_begin(const struct constants *constants, struct position position)
{
    struct product p0 = multiply(position.block + constants->first_block, PHILOX_M0);
    return (struct state){position.row ^ constants->c0, constants->c1, p0.high ^ constants->c2,
                          p0.low};
}

static INLINE struct state philox_round(const struct constants *constants, struct state s,
                                        int round)
{
    struct product p0 = multiply(s.c0, PHILOX_M0);
    struct product p1 = multiply(s.c2, PHILOX_M1);
    return (struct state){p1.high ^ s.c1 ^ key_0(constants, round), p1.low,
                          p0.high ^ s.c3 ^ key_1(constants, round), p0.low};
}

static INLINE void philox_end(const struct constants *constants, struct state s,
                              struct pairs out[2])
{
    s = philox_round(constants, s, PHILOX_ROUNDS - 1);
    out[0].a = (u32s)vzip1q_u32((uint32x4_t)s.c0, (uint32x4_t)s.c1);
    out[1].a = (u32s)vzip2q_u32((uint32x4_t)s.c0, (uint32x4_t)s.c1);
    out[0].b = (u32s)vzip1q_u32((uint32x4_t)s.c2, (uint32x4_t)s.c3);
    out[1].b = (u32s)vzip2q_u32((uint32x4_t)s.c2, (uint32x4_t)s.c3);
}

#include "kernels_body.h"

static int is_supported(void)
{
    return 1;
}

const struct kernels ev_kernels_neon = {
    .name = "neon",
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
