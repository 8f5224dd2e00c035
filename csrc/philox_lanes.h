/* Philox with one block in each 64-bit lane: the low half holds a counter word, and the high half
 * holds unused bits of the last product. This file needs mul_low (the 64-bit products of the low
 * halves), swap_halves, xor3, and xor3_low, which keeps the high halves of its first argument. */
#include "kernels.h"
#include "philox.h"

struct state {
    u32s c0, c1, c2, c3;
};

static INLINE u32s high_halves(u32s x)
{
    return (u32s)((u64s)x >> 32);
}

/* Round 1, from the positions of the blocks. */
static INLINE struct state philox_begin(const struct constants *constants, struct position position)
{
    u32s p0 = mul_low(position.block + constants->first_block, u32s_broadcast(PHILOX_M0));
    return (struct state){position.row ^ constants->c0, constants->c1,
                          high_halves(p0) ^ constants->c2, p0};
}

/* One of rounds 2 to 9; `round` counts from 0. */
static INLINE struct state philox_round(const struct constants *constants, struct state s,
                                        int round)
{
    u32s p0 = mul_low(s.c0, u32s_broadcast(PHILOX_M0));
    u32s p1 = mul_low(s.c2, u32s_broadcast(PHILOX_M1));
    return (struct state){xor3(high_halves(p1), s.c1, key_0(constants, round)), p1,
                          xor3(high_halves(p0), s.c3, key_1(constants, round)), p0};
}

/* The last round. It leaves words 0 and 1 of each block side by side in a, words 2 and 3 in b. */
static INLINE void philox_end(const struct constants *constants, struct state s, struct pairs *out)
{
    u32s p0 = mul_low(s.c0, u32s_broadcast(PHILOX_M0));
    u32s p1 = mul_low(s.c2, u32s_broadcast(PHILOX_M1));
    out->a = xor3_low(swap_halves(p1), s.c1, key_0(constants, PHILOX_ROUNDS - 1));
    out->b = xor3_low(swap_halves(p0), s.c3, key_1(constants, PHILOX_ROUNDS - 1));
}
