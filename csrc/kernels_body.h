/* The code that all vector kernels share. A kernels_<isa>.c defines its vectors and the operations
 * for which C has no operator, and then includes this file. The arithmetic is that of normal.h,
 * scale.h and pack.h, operation by operation; domains and errors are in kernels.h.
 *
 * A kernels_<isa>.c defines before the include:
 *
 *   LANES, BLOCKS                   floats in a vector; Philox blocks in a struct state
 *   GROUP                           states computed at the same time
 *   INLINE, TARGET                  function attributes (vectors.h)
 *   first_blocks()                  the blocks, from 0, that the lanes of the first state hold
 *   struct state, philox_*          Philox on a state (philox_lanes.h, or its own version)
 *   f32s_sqrt                       square root
 *   f32s_clamp                      clamp to [low, high]; NaN stays NaN
 *   f32s_level                      clamp to [0, 255]; NaN becomes 0
 *   swap_where                      swap two vectors in the lanes where bit 1 is set
 *   zip_low, zip_high               interleave two vectors in units of two floats
 *   store_1                         write the levels of one channel, from four vectors, as bytes
 *   store_3                         write a vector of three-byte pixels; it writes 4 * LANES bytes,
 *                                   of which the last LANES are arbitrary
 */
#include "extremes.h"
#include "kernels.h"
#include "normal.h"
#include "pack.h"
#include "scale.h"
#include "squares.h"

enum {
    PER_STATE = 2 * BLOCKS / LANES, /* vectors of pairs from one state */
    DRAFTS = GROUP * PER_STATE,
    PAIR = 2 * LANES /* normals from one vector of pairs */
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

/* ---- counters: one walk over the blocks of all rows ---- */

struct walk {
    struct position position; /* of the next state */
    u32s per_row, last;       /* blocks in a row; its last block */
    u32s step, row_step;      /* the distance between two states in blocks and rows */
    struct constants constants;
};

/* Move lanes that are past the last block of their row to the next row. */
static INLINE struct position carry(const struct walk *walk, struct position position)
{
    u32s past = (u32s)((i32s)position.block > (i32s)walk->last);
    return (struct position){position.block - (past & walk->per_row), position.row - past};
}

static INLINE struct walk start_walk(const struct span *span)
{
    struct walk walk = {
        .position = {first_blocks(), u32s_broadcast((uint32_t)span->index)},
        .per_row = u32s_broadcast(span->blocks_per_row),
        .last = u32s_broadcast(span->blocks_per_row - 1),
        .step = u32s_broadcast(BLOCKS % span->blocks_per_row),
        .row_step = u32s_broadcast(BLOCKS / span->blocks_per_row),
        .constants = constants_of(span),
    };
    for (uint32_t end = span->blocks_per_row; end < BLOCKS; end += span->blocks_per_row)
        walk.position = carry(&walk, walk.position);
    return walk;
}

/* Start Philox at the walk's position and advance the walk by one state. */
static INLINE struct state next_state(struct walk *walk)
{
    struct position here = walk->position;
    struct position next = {here.block + walk->step, here.row + walk->row_step};
    walk->position = carry(walk, next);
    return philox_begin(&walk->constants, here);
}

/* ---- normals ---- */

/* The intermediate values of normal_pair for one vector of pairs. */
struct draft {
    struct pairs words;
    f32s m, e, t, t2, p; /* radius: mantissa, exponent, and the polynomial of the logarithm */
    f32s q, q2, c, s;    /* angle */
};

enum { STAGES = PHILOX_ROUNDS };

/* One stage of normal_pair, which has as many stages as Philox has rounds. The last stage leaves
 * the normals in c and s. Maximum absolute error: 1.08e-6, as in normal.h. */
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

/* One stage of Philox, which is one round. The last stage stores the words in the drafts. */
static INLINE void words_stage(struct draft *drafts, struct state *state, struct walk *walk,
                               int stage)
{
    struct pairs words[PER_STATE];
    if (stage == 0)
        *state = next_state(walk);
    else if (stage < STAGES - 1)
        *state = philox_round(&walk->constants, *state, stage);
    else {
        philox_end(&walk->constants, *state, words);
        for (int d = 0; d < PER_STATE; d++)
            drafts[d].words = words[d];
    }
}

/* Compute the words of the next drafts and the normals of the current ones, for n states: one round
 * of the former, one stage of the latter, so that the processor has independent work to overlap.
 * Either may be NULL. */
static INLINE void interleave(struct draft *next, struct draft *current, struct walk *walk, int n)
{
    struct state states[GROUP > 2 ? GROUP : 2];
    UNROLL
    for (int i = 0; i < STAGES; i++)
        UNROLL
        for (int s = 0; s < n; s++) {
            if (next)
                words_stage(next + s * PER_STATE, states + s, walk, i);
            if (current)
                UNROLL
                for (int d = s * PER_STATE; d < (s + 1) * PER_STATE; d++)
                    draft_stage(current + d, i);
        }
}

/* scale_of, lane by lane. Maximum relative error: 1.9e-7, as in scale.h. */
static INLINE f32s f32s_scale(f32s logvar)
{
    f32s x = f32s_clamp(logvar, LOGVAR_MIN, LOGVAR_MAX);
    f32s shifted = x * EXP_INVERSE + EXP_ROUND;
    f32s n = shifted - EXP_ROUND;
    f32s f = (x - n * EXP_HIGH) - n * EXP_LOW;
    f32s p = ((((EXP_5 * f + EXP_4) * f + EXP_3) * f + EXP_2) * f + EXP_1) * f + EXP_0;
    return p * (f32s)((u32s)shifted << 23);
}

/* Write the normals of n states or, if mu is not NULL, mu + exp(logvar / 2) * eps. */
static INLINE void emit(float *out, const float *mu, const float *logvar,
                        const struct draft *current, int n)
{
    UNROLL
    for (int d = 0; d < n * PER_STATE; d++) {
        f32s eps[2] = {zip_low(current[d].c, current[d].s), zip_high(current[d].c, current[d].s)};
        UNROLL
        for (int half = 0; half < 2; half++) {
            size_t at = (size_t)(d * PAIR + half * LANES);
            if (mu)
                eps[half] = f32s_load(mu + at) + f32s_scale(f32s_load(logvar + at)) * eps[half];
            f32s_store(out + at, eps[half]);
        }
    }
}

/* The same as emit, if only the first `blocks` blocks of the n states are wanted. */
static INLINE void emit_partial(float *out, const float *mu, const float *logvar,
                                const struct draft *current, int n, size_t blocks)
{
    if (blocks >= (size_t)n * BLOCKS) {
        emit(out, mu, logvar, current, n);
        return;
    }
    float z[8 * BLOCKS], m[8 * BLOCKS] = {0}, v[8 * BLOCKS] = {0};
    if (mu) {
        memcpy(m, mu, 4 * blocks * sizeof *m);
        memcpy(v, logvar, 4 * blocks * sizeof *v);
    }
    emit(z, mu ? m : NULL, v, current, n);
    memcpy(out, z, 4 * blocks * sizeof *z);
}

/* Compute small calls and the rest of large ones, two states at a time. This function is not
 * inlined, so that a small call does not prepare the constants of the main loop in `fill`. */
static TARGET NOINLINE void fill_small(float *out, const float *mu, const float *logvar,
                                       struct walk *walk, size_t blocks)
{
    struct draft current[2 * PER_STATE];
    for (size_t i = 0; i < blocks; i += 2 * BLOCKS) {
        const float *m = mu ? mu + 4 * i : NULL, *v = mu ? logvar + 4 * i : NULL;
        if (blocks - i > BLOCKS) {
            interleave(current, NULL, walk, 2);
            interleave(NULL, current, walk, 2);
            emit_partial(out + 4 * i, m, v, current, 2, blocks - i);
        } else {
            interleave(current, NULL, walk, 1);
            interleave(NULL, current, walk, 1);
            emit_partial(out + 4 * i, m, v, current, 1, blocks - i);
        }
    }
}

/* The code of normal (mu and logvar are NULL) and of reparameterize. */
static INLINE void fill(float *out, const float *mu, const float *logvar, const struct span *span,
                        size_t blocks)
{
    enum { STEP = GROUP * BLOCKS };
    struct walk walk = start_walk(span);
    if (blocks >= 2 * STEP) {
        struct draft current[DRAFTS], next[DRAFTS];
        interleave(current, NULL, &walk, GROUP);
        for (; blocks >= 2 * STEP; blocks -= STEP) {
            interleave(next, current, &walk, GROUP);
            emit(out, mu, logvar, current, GROUP);
            UNROLL
            for (int d = 0; d < DRAFTS; d++)
                current[d] = next[d];
            out += 4 * STEP;
            mu = mu ? mu + 4 * STEP : NULL;
            logvar = logvar ? logvar + 4 * STEP : NULL;
        }
        interleave(NULL, current, &walk, GROUP);
        emit(out, mu, logvar, current, GROUP);
        out += 4 * STEP;
        mu = mu ? mu + 4 * STEP : NULL;
        logvar = logvar ? logvar + 4 * STEP : NULL;
        blocks -= STEP;
    }
    fill_small(out, mu, logvar, &walk, blocks);
}

/* ---- the functions of struct kernels ---- */

static TARGET void words(uint32_t *out, const struct span *span, size_t blocks)
{
    struct walk walk = start_walk(span);
    for (size_t i = 0; i < blocks; i += BLOCKS) {
        struct draft current[PER_STATE];
        interleave(current, NULL, &walk, 1);
        float ends[4 * BLOCKS];
        for (int d = 0; d < PER_STATE; d++) {
            f32s a = (f32s)current[d].words.a, b = (f32s)current[d].words.b;
            f32s_store(ends + d * PAIR, zip_low(a, b));
            f32s_store(ends + d * PAIR + LANES, zip_high(a, b));
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
        f32s_store(out + i, f32s_scale(f32s_load(logvar + i)));
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

/* level_of, lane by lane; f32s_level clamps before the conversion truncates. */
static INLINE u32s load_levels(const float *x)
{
    return (u32s)__builtin_convertvector(f32s_level(f32s_load(x) * 255.0f + 0.5f), i32s);
}

static TARGET void pack(uint8_t *out, const float *x, size_t plane, size_t channels, size_t width)
{
    size_t i = 0;
    if (channels == 1)
        for (; i + 4 * LANES <= width; i += 4 * LANES)
            store_1(out + i, load_levels(x + i), load_levels(x + i + LANES),
                    load_levels(x + i + 2 * LANES), load_levels(x + i + 3 * LANES));
    if (channels == 3)
        for (; 3 * i + 4 * LANES <= 3 * width; i += LANES) {
            const float *at = x + i;
            store_3(out + 3 * i, load_levels(at) | load_levels(at + plane) << 8 |
                                     load_levels(at + 2 * plane) << 16);
        }
    pack_pixels(out, x, plane, channels, i, width);
}

/* The compiler vectorizes the loop for the instruction set of TARGET. */
static TARGET void extremes(float *least, float *most, const float *x, size_t n)
{
    extremes_of(least, most, x, n);
}

static TARGET double squares(float *out, const float *x, const float *y, const float *scale,
                             size_t step, size_t n)
{
    double sum = 0;
    for (size_t first = 0, end; first < n; first = end) {
        end = block_end(first, n);
        f32s sums[SQUARE_LANES / LANES] = {{0}};
        size_t i = first;
        for (; i + SQUARE_LANES <= end; i += SQUARE_LANES)
            UNROLL
            for (int v = 0; v < SQUARE_LANES / LANES; v++) {
                size_t at = i + (size_t)(v * LANES);
                f32s scaled = f32s_load(x + at) - f32s_load(y + at);
                scaled *= step ? f32s_load(scale + at) : scale[0] - (f32s){0};
                f32s_store(out + at, scaled * scaled);
                sums[v] += scaled * scaled;
            }
        float lanes[SQUARE_LANES];
        memcpy(lanes, sums, sizeof lanes);
        sum += add_squares(lanes, out, x, y, scale, step, i, end);
    }
    return sum;
}
