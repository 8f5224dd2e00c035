/* Vector types with LANES lanes, in the vector extension of GCC and clang: operators work lane by
 * lane, and a cast keeps the bits. A kernels_<isa>.c defines LANES and TARGET (the attribute that
 * enables the instruction set in a function) and then includes this file. The file also holds the
 * part of Philox that all vector kernels share. */
#include "kernels.h"
#include "philox.h"

#define INLINE inline __attribute__((always_inline)) TARGET

#define NOINLINE __attribute__((noinline))

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float f32s __attribute__((vector_size(4 * LANES)));
typedef uint32_t u32s __attribute__((vector_size(4 * LANES)));
typedef int32_t i32s __attribute__((vector_size(4 * LANES)));
typedef uint64_t u64s __attribute__((vector_size(4 * LANES)));

static INLINE u32s u32s_broadcast(uint32_t x)
{
    return x - (u32s){0};
}

/* For each lane: the block within its row (from 0), and the low word of its row's index. */
struct position {
    u32s block, row;
};

/* The two arguments of normal_pair. Two neighbouring lanes hold words 0 and 1 of a block in a, and
 * its words 2 and 3 in b. */
struct pairs {
    u32s a, b;
};

/* Values that all blocks of a span share: the key, the first block, and the parts of the counter
 * words after round 1 that depend only on the key, the high word of the index and the stream. */
struct constants {
    uint32_t key_0, key_1;
    u32s first_block, c0, c1, c2;
};

static INLINE struct constants constants_of(const struct span *span)
{
    uint32_t key_0 = (uint32_t)span->seed, key_1 = (uint32_t)(span->seed >> 32);
    uint64_t product = PHILOX_M1 * (span->index >> 32);
    return (struct constants){
        .key_0 = key_0,
        .key_1 = key_1,
        .first_block = u32s_broadcast(span->first_block),
        .c0 = u32s_broadcast((uint32_t)(product >> 32) ^ key_0),
        .c1 = u32s_broadcast((uint32_t)product),
        .c2 = u32s_broadcast(span->stream ^ key_1),
    };
}

/* The key words of a round, from 0. */
static INLINE u32s key_0(const struct constants *constants, int round)
{
    return u32s_broadcast(constants->key_0 + PHILOX_W0 * (uint32_t)round);
}

static INLINE u32s key_1(const struct constants *constants, int round)
{
    return u32s_broadcast(constants->key_1 + PHILOX_W1 * (uint32_t)round);
}
