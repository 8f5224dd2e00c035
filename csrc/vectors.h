/* The vector types of LANES lanes, in the extension that GCC and clang share: operators work lane
 * by lane, a cast keeps the bits. A kernels_<isa>.c defines LANES and TARGET (the attribute that
 * lets a function use the instructions) and includes this. Here too: what the Philox of all of them
 * share. */
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

static INLINE u32s u32s_all(uint32_t x)
{
    return x - (u32s){0};
}

/* For each lane: the block within its row, and the low word of its row's index. */
struct place {
    u32s at, row;
};

/* Words that become normals together: see normal_pair. Two lanes are a block's words 0 and 1 in a,
 * 2 and 3 in b. */
struct pairs {
    u32s a, b;
};

/* What a span's blocks have in common: the key, and what round 1 makes of the words that only
 * depend on the high word of the index, and on the stream. */
struct shared {
    uint32_t key_0, key_1;
    u32s first, next_0, next_1, next_2;
};

static INLINE struct shared shared_by(const struct span *span)
{
    uint32_t key_0 = (uint32_t)span->seed, key_1 = (uint32_t)(span->seed >> 32);
    uint64_t product = PHILOX_M1 * (span->index >> 32);
    return (struct shared){key_0, key_1, u32s_all(span->first),
                           u32s_all((uint32_t)(product >> 32) ^ key_0),
                           u32s_all((uint32_t)product), u32s_all(span->stream ^ key_1)};
}

static INLINE u32s key_0(const struct shared *shared, int round)
{
    return u32s_all(shared->key_0 + PHILOX_W0 * (uint32_t)round);
}

static INLINE u32s key_1(const struct shared *shared, int round)
{
    return u32s_all(shared->key_1 + PHILOX_W1 * (uint32_t)round);
}
