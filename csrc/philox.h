/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and the
 * layout of its counter in stream 1:
 *
 *   key      the 64-bit seed, low word first
 *   counter  block, index low, index high, purpose + 256 * draw
 *
 * Dimension j of row `index` belongs to word j & 3 of block j >> 2; normal.h turns the words (0, 2)
 * and (1, 3) of a block into normals.
 *
 * Domain: every counter and key. Integers, so there is no error; known answers are in
 * tests/data/philox4x32_10.txt.
 */
#ifndef EV_PHILOX_H
#define EV_PHILOX_H

#include <stdint.h>

#define PHILOX_ROUNDS 10
#define PHILOX_M0 0xD2511F53u /* the multipliers of counter words 0 and 2 */
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u /* added to the key words between rounds: golden ratio, sqrt(3) - 1 */
#define PHILOX_W1 0xBB67AE85u

struct philox_words {
    uint32_t w[4];
};

/* Return the four random words of a counter. */
static inline struct philox_words philox(struct philox_words counter, uint64_t seed)
{
    uint32_t c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    return (struct philox_words){{c0, c1, c2, c3}};
}

#endif
