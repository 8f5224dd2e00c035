/* The vector kernels, written once. A kernels_<isa>.c defines its vectors and the few operations
 * that C has no operator for, and includes this file; the arithmetic is that of normal.h, scale.h
 * and pack.h, operation by operation. It gives, before it includes this file:
 *
 *   LANES, BLOCKS                   floats in a vector; Philox blocks in a struct state
 *   GROUP                           states in flight at a time
 *   INLINE, TARGET                  function attributes
 *   first_blocks()                  the blocks, from 0, that the lanes of a state work on
 *   struct state, philox_*          Philox on a state: philox_lanes.h, or its own
 *   f32s_sqrt, f32s_clamp           clamp leaves NaN alone
 *   f32s_level                      clamp to [0, 255], NaN to 0
 *   swap_where                      swaps two vectors in the lanes where bit 1 is set
 *   zip_low, zip_high               interleave two vectors in units of two floats
 *   store_1, store_3                levels to bytes: four vectors of one channel; a vector of
 *                                   three-byte pixels, writing 4 * LANES bytes
 */
#include "kernels.h"
#include "normal.h"
#include "pack.h"
#include "scale.h"

enum {
    PER_STATE = 2 * BLOCKS / LANES, /* vectors of pairs that a state becomes */
    DRAFTS = GROUP * PER_STATE,
    PAIR = 2 * LANES /* normals that a vector of pairs becomes */
};

static INLINE f32s f32s_load(const float *x)
{
    f32s v;
    memcpy(&v, x, sizeof v);
    return v;
}

static INLINE void f32s_store(float *out, f32s v)
{
    memcpy(out, &v, sizeof v);
}

/* ---- counters: rows and blocks flattened into one walk ---- */

struct walk {
    struct place place; /* of the next state */
    u32s per_row, last, step, row_step;
    struct shared shared;
};

/* Carries lanes that have run past their row's last block into the next row. */
static INLINE struct place carry(const struct walk *walk, struct place place)
{
    u32s past = (u32s)((i32s)place.at > (i32s)walk->last);
    return (struct place){place.at - (past & walk->per_row), place.row - past};
}

static INLINE struct walk walk_from(const struct span *span)
{
    struct walk walk = {
        .place = {first_blocks(), u32s_all((uint32_t)span->index)},
        .per_row = u32s_all(span->per_row),
        .last = u32s_all(span->per_row - 1),
        .step = u32s_all(BLOCKS % span->per_row),
        .row_step = u32s_all(BLOCKS / span->per_row),
        .shared = shared_by(span),
    };
    for (uint32_t end = span->per_row; end < BLOCKS; end += span->per_row)
        walk.place = carry(&walk, walk.place);
    return walk;
}

static INLINE struct state begin(struct walk *walk)
{
    struct place here = walk->place;
    struct place next = {here.at + walk->step, here.row + walk->row_step};
    walk->place = carry(walk, next);
    return philox_begin(&walk->shared, here);
}

/* ---- normals ---- */

/* A vector of pairs on its way through normal_pair. */
struct draft {
    struct pairs words;
    f32s m, e, t, t2, p; /* radius: mantissa, exponent, and the logarithm's polynomial */
    f32s q, q2, c, s;    /* angle */
};

enum { STAGES = PHILOX_ROUNDS };

/* normal_pair in as many stages as Philox has rounds; c and s become the normals. */
static INLINE void draft_stage(struct draft *d, int stage)
{
    switch (stage) {
    case 0:
        d->m = __builtin_convertvector((i32s)((d->words.a & 0x7fffffff) | 1), f32s);
        d->q = (f32s)((d->words.b >> 9) | 0x3f800000) - 1.5f;
        break;
    case 1:
        d->e = (f32s)(((u32s)d->m - LN_SPLIT) & 0xff800000);
        d->q2 = d->q * d->q;
        break;
    case 2:
        d->m = (f32s)((u32s)d->m - (u32s)d->e);
        d->c = COS_3 * d->q2 + COS_2;
        d->s = SIN_3 * d->q2 + SIN_2;
        break;
    case 3:
        d->t = (d->m - LN_ONE) / (d->m + LN_ONE);
        d->e = __builtin_convertvector((i32s)d->e, f32s) * LN_EXPONENT;
        break;
    case 4:
        d->c = d->c * d->q2 + COS_1;
        d->s = d->s * d->q2 + SIN_1;
        break;
    case 5:
        d->t2 = d->t * d->t;
        d->p = LN_2 * d->t2 + LN_1;
        d->c = d->c * d->q2 + COS_0;
        break;
    case 6:
        d->p = d->p * d->t2 + LN_0;
        d->s = (d->s * d->q2 + SIN_0) * d->q;
        break;
    case 7:
        d->p = f32s_sqrt(d->e + d->t * d->p);
        d->c = (f32s)((u32s)d->c ^ (d->words.b << 31));
        break;
    case 8:
        swap_where(d->words.b, &d->c, &d->s);
        break;
    case 9:
        d->c = d->p * d->c;
        d->s = d->p * d->s;
        break;
    }
}

/* Philox, one round a stage; the last leaves its words in the drafts. */
static INLINE void words_stage(struct draft *drafts, struct state *state, struct walk *walk,
                               int stage)
{
    struct pairs words[PER_STATE];
    if (stage == 0)
        *state = begin(walk);
    else if (stage < STAGES - 1)
        *state = philox_round(&walk->shared, *state, stage);
    else {
        philox_end(&walk->shared, *state, words);
        for (int d = 0; d < PER_STATE; d++)
            drafts[d].words = words[d];
    }
}

/* Makes the words of the next drafts while it turns the words of these into normals: a round of
 * the one, a stage of the other, so that the processor has independent work at hand. Either may be
 * NULL. n states. */
static INLINE void interleave(struct draft *next, struct draft *these, struct walk *walk, int n)
{
    struct state states[GROUP > 2 ? GROUP : 2];
    UNROLL
    for (int i = 0; i < STAGES; i++)
        UNROLL
        for (int s = 0; s < n; s++) {
            if (next)
                words_stage(next + s * PER_STATE, states + s, walk, i);
            if (these)
                UNROLL
                for (int d = s * PER_STATE; d < (s + 1) * PER_STATE; d++)
                    draft_stage(these + d, i);
        }
}

static INLINE f32s scales(f32s logvar)
{
    f32s x = f32s_clamp(logvar, LOGVAR_MIN, LOGVAR_MAX);
    f32s shifted = x * EXP_INVERSE + EXP_ROUND;
    f32s n = shifted - EXP_ROUND;
    f32s f = (x - n * EXP_HIGH) - n * EXP_LOW;
    f32s p = ((((EXP_5 * f + EXP_4) * f + EXP_3) * f + EXP_2) * f + EXP_1) * f + EXP_0;
    return p * (f32s)((u32s)shifted << 23);
}

/* Finished drafts to memory: as they are, or where mu is given, reparameterized. */
static INLINE void emit(float *out, const float *mu, const float *logvar, const struct draft *these,
                        int n)
{
    UNROLL
    for (int d = 0; d < n * PER_STATE; d++) {
        f32s eps[2] = {zip_low(these[d].c, these[d].s), zip_high(these[d].c, these[d].s)};
        UNROLL
        for (int half = 0; half < 2; half++) {
            size_t at = (size_t)(d * PAIR + half * LANES);
            if (mu)
                eps[half] = f32s_load(mu + at) + scales(f32s_load(logvar + at)) * eps[half];
            f32s_store(out + at, eps[half]);
        }
    }
}

/* emit for n states of which only `blocks` blocks are wanted. */
static INLINE void emit_some(float *out, const float *mu, const float *logvar,
                             const struct draft *these, int n, size_t blocks)
{
    if (blocks >= (size_t)n * BLOCKS) {
        emit(out, mu, logvar, these, n);
        return;
    }
    float z[8 * BLOCKS], m[8 * BLOCKS] = {0}, v[8 * BLOCKS] = {0};
    if (mu) {
        memcpy(m, mu, 4 * blocks * sizeof *m);
        memcpy(v, logvar, 4 * blocks * sizeof *v);
    }
    emit(z, mu ? m : NULL, v, these, n);
    memcpy(out, z, 4 * blocks * sizeof *z);
}

/* Few blocks, two states at a time: small calls, and what is left of large ones. Not inlined, so
 * that a small call does not set the stage for the loop of a large one. */
static TARGET NOINLINE void fill_few(float *out, const float *mu, const float *logvar,
                                     struct walk *walk, size_t blocks)
{
    struct draft these[2 * PER_STATE];
    for (size_t i = 0; i < blocks; i += 2 * BLOCKS) {
        const float *m = mu ? mu + 4 * i : NULL, *v = mu ? logvar + 4 * i : NULL;
        if (blocks - i > BLOCKS) {
            interleave(these, NULL, walk, 2);
            interleave(NULL, these, walk, 2);
            emit_some(out + 4 * i, m, v, these, 2, blocks - i);
        } else {
            interleave(these, NULL, walk, 1);
            interleave(NULL, these, walk, 1);
            emit_some(out + 4 * i, m, v, these, 1, blocks - i);
        }
    }
}

/* The body of normal (mu and logvar NULL) and of reparameterize. */
static INLINE void fill(float *out, const float *mu, const float *logvar, const struct span *span,
                        size_t blocks)
{
    enum { STEP = GROUP * BLOCKS };
    struct walk walk = walk_from(span);
    if (blocks >= 2 * STEP) {
        struct draft these[DRAFTS], next[DRAFTS];
        interleave(these, NULL, &walk, GROUP);
        for (; blocks >= 2 * STEP; blocks -= STEP) {
            interleave(next, these, &walk, GROUP);
            emit(out, mu, logvar, these, GROUP);
            UNROLL
            for (int d = 0; d < DRAFTS; d++)
                these[d] = next[d];
            out += 4 * STEP;
            mu = mu ? mu + 4 * STEP : NULL;
            logvar = logvar ? logvar + 4 * STEP : NULL;
        }
        interleave(NULL, these, &walk, GROUP);
        emit(out, mu, logvar, these, GROUP);
        out += 4 * STEP;
        mu = mu ? mu + 4 * STEP : NULL;
        logvar = logvar ? logvar + 4 * STEP : NULL;
        blocks -= STEP;
    }
    fill_few(out, mu, logvar, &walk, blocks);
}

/* ---- the table's functions ---- */

static TARGET void words(uint32_t *out, const struct span *span, size_t blocks)
{
    struct walk walk = walk_from(span);
    for (size_t i = 0; i < blocks; i += BLOCKS) {
        struct draft these[PER_STATE];
        interleave(these, NULL, &walk, 1);
        float ends[4 * BLOCKS];
        for (int d = 0; d < PER_STATE; d++) {
            f32s_store(ends + d * PAIR, zip_low((f32s)these[d].words.a, (f32s)these[d].words.b));
            f32s_store(ends + d * PAIR + LANES, zip_high((f32s)these[d].words.a, (f32s)these[d].words.b));
        }
        size_t left = 4 * (blocks - i) * sizeof(float);
        memcpy(out + 4 * i, ends, left < sizeof ends ? left : sizeof ends);
    }
}

static TARGET void normal(float *out, const struct span *span, size_t blocks)
{
    fill(out, NULL, NULL, span, blocks);
}

static TARGET void reparameterize(float *out, const float *mu, const float *logvar,
                                  const struct span *span, size_t blocks)
{
    fill(out, mu, logvar, span, blocks);
}

static TARGET void scale(float *out, const float *logvar, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        f32s_store(out + i, scales(f32s_load(logvar + i)));
    for (; i < n; i++)
        out[i] = scale_of(logvar[i]);
}

static TARGET void affine(float *out, const float *mean, const float *scale, const float *eps,
                          float temperature, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        f32s_store(out + i, f32s_load(mean + i) +
                                f32s_load(scale + i) * (temperature * f32s_load(eps + i)));
    for (; i < n; i++)
        out[i] = mean[i] + scale[i] * (temperature * eps[i]);
}

static INLINE u32s levels(const float *x)
{
    return (u32s)__builtin_convertvector(f32s_level(f32s_load(x) * 255.0f + 0.5f), i32s);
}

static TARGET void pack(uint8_t *out, const float *x, size_t plane, size_t channels, size_t width)
{
    size_t i = 0;
    if (channels == 1)
        for (; i + 4 * LANES <= width; i += 4 * LANES)
            store_1(out + i, levels(x + i), levels(x + i + LANES), levels(x + i + 2 * LANES),
                    levels(x + i + 3 * LANES));
    if (channels == 3)
        for (; 3 * i + 4 * LANES <= 3 * width; i += LANES) {
            const float *at = x + i;
            store_3(out + 3 * i, levels(at) | levels(at + plane) << 8 | levels(at + 2 * plane) << 16);
        }
    pack_pixels(out, x, plane, channels, i, width);
}
