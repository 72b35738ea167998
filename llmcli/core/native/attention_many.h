/* Attention of many queries over one KV head, chunk by chunk of positions, with the softmax's sums
   carried along and mended when a larger score comes (FlashAttention, arXiv:2205.14135).

   Keys, values, queries and weights are read in words of 4 bytes: one number of fp32; or, where the
   CPU multiplies bf16, two numbers of it (`pairs`) that belong to the same sum. */

enum { BLOCK = 2 * LANES }; /* positions whose keys lie side by side: (blocks, words, BLOCK) */

INLINE vf add_word(vf total, vu a, vu b, int pairs)
{
    return pairs ? add_pairs(total, a, b) : total + (vf)a * (vf)b;
}

/* q (n, words) times keys: scores of n_seen positions, up to a whole block. */
INLINE void score_queries(const uint32_t *const *q, const uint32_t *keys, long words, long n_seen,
                          float *scores, int n, int pairs)
{
    for (long p = 0; p < n_seen; p += BLOCK, keys += words * BLOCK) {
        vf s[MOST_QUERIES][2];
        UNROLL
        for (int i = 0; i < n; i++)
            s[i][0] = s[i][1] = (vf){0};
        for (long d = 0; d < words; d++) {
            vu k0 = load_bits(keys + d * BLOCK), k1 = load_bits(keys + d * BLOCK + LANES);
            UNROLL
            for (int i = 0; i < n; i++) {
                s[i][0] = add_word(s[i][0], k0, splat_bits(q[i][d]), pairs);
                s[i][1] = add_word(s[i][1], k1, splat_bits(q[i][d]), pairs);
            }
        }
        UNROLL
        for (int i = 0; i < n; i++) {
            store(scores + i * CROWD_CHUNK + p, s[i][0]);
            store(scores + i * CROWD_CHUNK + p + LANES, s[i][1]);
        }
    }
}

INLINE float product(const float *a, const uint32_t *b, int pairs)
{
    float x;
    memcpy(&x, b, sizeof x);
    if (!pairs)
        return *a * x;
    return read(a, 0, BF16) * read(b, 0, BF16) + read(a, 1, BF16) * read(b, 1, BF16);
}

/* sums (n, width) += weights (n, CHUNK) times values (words, width). */
INLINE void mix_queries(const float *weights, const uint32_t *values, long words, long width,
                        float *sums, int n, int pairs)
{
    long d = 0;
    for (; d + 2 * LANES <= width; d += 2 * LANES) {
        vf z[MOST_QUERIES][2];
        UNROLL
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                z[i][v] = load(sums + i * width + d + v * LANES);
        for (long p = 0; p < words; p++) {
            const uint32_t *at = values + p * width + d;
            vu v0 = load_bits(at), v1 = load_bits(at + LANES);
            UNROLL
            for (int i = 0; i < n; i++) {
                const vu weight = (vu)splat(weights[i * CROWD_CHUNK + p]);
                z[i][0] = add_word(z[i][0], v0, weight, pairs);
                z[i][1] = add_word(z[i][1], v1, weight, pairs);
            }
        }
        UNROLL
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                store(sums + i * width + d + v * LANES, z[i][v]);
    }
    for (; d < width; d++)
        for (int i = 0; i < n; i++)
            for (long p = 0; p < words; p++)
                sums[i * width + d] += product(weights + i * CROWD_CHUNK + p, values + p * width + d, pairs);
}

/* Scores of one query for positions 0 .. n_seen - 1 of the chunk to weights, those outside of
   first .. last - 1 to 0; `state`: largest score and sum. */
INLINE void weigh_query(const Crowd *op, float *scores, long n_seen, long first, long last,
                        float *state, float *sums, int pairs)
{
    vf tops = splat(-INFINITY);
    vi lanes = {0};
    for (int i = 0; i < LANES; i++)
        lanes[i] = i;
    const int masked = first > 0 || last < (n_seen + LANES - 1) / LANES * LANES;
    if (op->softcap > 0)
        for (long p = 0; p < n_seen; p += LANES)
            store(scores + p, tanh_of(load(scores + p) / op->softcap) * op->softcap);
    for (long p = 0; masked && p < n_seen; p += LANES) {
        const vi at = lanes + (int32_t)p;
        const vi unseen = (at < (int32_t)first) | (at >= (int32_t)last);
        store(scores + p, choose(unseen, splat(-INFINITY), load(scores + p)));
    }
    for (long p = 0; p < n_seen; p += LANES)
        tops = larger(load(scores + p), tops);
    const float here = largest(tops), top = here > state[0] ? here : state[0];
    const float mend = top == state[0] ? 1 : expf(state[0] - top);
    vf total = {0};
    for (long p = 0; p < n_seen; p += LANES) {
        const vf s = load(scores + p);
        vf w = exponential(s - top);
        if (masked)
            w = choose(s == splat(-INFINITY), (vf){0}, w);
        store_kind(scores, p, w, pairs ? BF16 : F32); /* bf16 never overtakes what is read */
        total += w;
    }
    if (mend != 1)
        for (long d = 0; d < op->width; d++)
            sums[d] *= mend;
    state[0] = top, state[1] = state[1] * mend + sum(total);
}

/* Values of n positions as words that belong to the same sum: (words, width). */
INLINE void lay_values(const uint16_t *values, long n, long width, uint32_t *words)
{
    for (long p = 0; p < n; p += 2, words += width)
        for (long d = 0; d < width; d++) {
            const uint32_t next = p + 1 < n ? values[(p + 1) * width + d] : 0;
            words[d] = values[p * width + d] | next << 16;
        }
}

INLINE void attend_some(const Crowd *op, float *room, int pairs)
{
    const long width = op->width, group = op->group, n = op->n * group, size = pairs ? 2 : 4;
    const long words = width * size / 4;
    uint32_t *keys = (uint32_t *)room, *laid = keys + words * CROWD_CHUNK;
    float *scores = (float *)(laid + words * CROWD_CHUNK), *sums = scores + MOST_QUERIES * CROWD_CHUNK;
    float *states = sums + n * width;
    memset(sums, 0, (size_t)(n * width) * sizeof(float));
    for (long i = 0; i < n; i++)
        states[2 * i] = -INFINITY, states[2 * i + 1] = 0;
    const long end = op->position + op->n, begin = op->window ? op->position + 1 - op->window : 0;
    for (long from = begin > 0 ? begin : 0; from < end; from += CROWD_CHUNK) {
        const long seen = end - from < CROWD_CHUNK ? end - from : CROWD_CHUNK;
        const char *there = (const char *)op->keys + from * width * size;
        for (long p = 0; p < seen; p += BLOCK)
            turn(there + p * width * size, F32, width * size, seen - p, words, BLOCK,
                 (float *)keys + p * words);
        const void *values = (const char *)op->values + from * width * size;
        if (pairs)
            lay_values(values, seen, width, laid), values = laid;
        for (long i = 0, some; i < n; i += some) {
            const uint32_t *q[MOST_QUERIES];
            some = n - i >= ROWS ? ROWS : 1;
            const long last_seen = op->position + (i + some - 1) / group + 1;
            if (last_seen <= from)
                continue; /* none of these rows has come as far */
            const long mixed = last_seen - from < seen ? last_seen - from : seen;
            const long value_words = pairs ? (mixed + 1) / 2 : mixed;
            for (long j = 0; j < some; j++)
                q[j] = (const uint32_t *)op->q + ((i + j) / group * op->heads + (i + j) % group) * words;
            if (some == ROWS)
                score_queries(q, keys, words, mixed, scores, ROWS, pairs);
            else
                score_queries(q, keys, words, mixed, scores, 1, pairs);
            for (long j = 0; j < some; j++) {
                const long last = op->position + (i + j) / group + 1;
                const long first = op->window && last > op->window ? last - op->window : 0;
                weigh_query(op, scores + j * CROWD_CHUNK, mixed, first - from, last - from,
                            states + 2 * (i + j), sums + (i + j) * width, pairs);
            }
            if (some == ROWS)
                mix_queries(scores, values, value_words, width, sums + i * width, ROWS, pairs);
            else
                mix_queries(scores, values, value_words, width, sums + i * width, 1, pairs);
        }
    }
    for (long i = 0; i < n; i++) {
        for (long d = 0; d < width; d++)
            sums[i * width + d] /= states[2 * i + 1];
        const long at = (i / group * op->heads + i % group) * width;
        narrow(sums + i * width, width, (char *)op->z + at * (op->z_kind == F32 ? 4 : 2), op->z_kind);
    }
}

/* `room`: see crowd_room in kernels.h. */
static void attend_crowd(const Crowd *op, float *room)
{
    if (MULTIPLIES_BF16 && op->kind == BF16)
        attend_some(op, room, 1);
    else
        attend_some(op, room, 0);
}
