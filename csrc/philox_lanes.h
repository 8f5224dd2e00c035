/* Philox with a block in each 64-bit lane: a counter word in the low half, and in the high half
 * whatever the last multiplication left there. Needs mul_low (the 64-bit products of low halves),
 * swap_halves, xor3, and xor3_low, which leaves the high halves of its first argument alone. */
#include "kernels.h"
#include "philox.h"

struct state {
    u32s c0, c1, c2, c3;
};

static INLINE u32s high_halves(u32s x)
{
    return (u32s)((u64s)x >> 32);
}

static INLINE struct state philox_begin(const struct shared *shared, struct place place)
{
    u32s p0 = mul_low(place.at + shared->first, u32s_all(PHILOX_M0));
    return (struct state){place.row ^ shared->next_0, shared->next_1,
                          high_halves(p0) ^ shared->next_2, p0};
}

static INLINE struct state philox_round(const struct shared *shared, struct state s, int round)
{
    u32s p0 = mul_low(s.c0, u32s_all(PHILOX_M0));
    u32s p1 = mul_low(s.c2, u32s_all(PHILOX_M1));
    return (struct state){xor3(high_halves(p1), s.c1, key_0(shared, round)), p1,
                          xor3(high_halves(p0), s.c3, key_1(shared, round)), p0};
}

/* The last round: words 0 and 1 of each block side by side in a, words 2 and 3 in b. */
static INLINE void philox_end(const struct shared *shared, struct state s, struct pairs *out)
{
    u32s p0 = mul_low(s.c0, u32s_all(PHILOX_M0));
    u32s p1 = mul_low(s.c2, u32s_all(PHILOX_M1));
    out->a = xor3_low(swap_halves(p1), s.c1, key_0(shared, PHILOX_ROUNDS - 1));
    out->b = xor3_low(swap_halves(p0), s.c3, key_1(shared, PHILOX_ROUNDS - 1));
}
