/* Attention of many queries over one KV head, chunk by chunk of positions, with the softmax's sums
   carried along and mended when a larger score comes (FlashAttention, arXiv:2205.14135). */

enum { BLOCK = 2 * LANES }; /* positions whose keys lie side by side: (blocks, width, BLOCK) */

/* q (n, width) times keys: scores of n_seen positions, up to a whole block. */
INLINE void score_queries(const Crowd *op, const float *const *q, const float *keys, long n_seen,
                          float *scores, int n)
{
    for (long p = 0; p < n_seen; p += BLOCK, keys += op->width * BLOCK) {
        vf s[MOST_QUERIES][2];
        UNROLL
        for (int i = 0; i < n; i++)
            s[i][0] = s[i][1] = (vf){0};
        for (long d = 0; d < op->width; d++) {
            vf k0 = load(keys + d * BLOCK), k1 = load(keys + d * BLOCK + LANES);
            UNROLL
            for (int i = 0; i < n; i++) {
                s[i][0] += splat(q[i][d]) * k0;
                s[i][1] += splat(q[i][d]) * k1;
            }
        }
        UNROLL
        for (int i = 0; i < n; i++) {
            store(scores + i * CROWD_CHUNK + p, s[i][0]);
            store(scores + i * CROWD_CHUNK + p + LANES, s[i][1]);
        }
    }
}

/* sums (n, width) += weights (n, CHUNK) times n_seen values. */
INLINE void mix_queries(const Crowd *op, const float *weights, const float *values, long n_seen,
                        float *sums, int n)
{
    const long width = op->width;
    long d = 0;
    for (; d + 2 * LANES <= width; d += 2 * LANES) {
        vf z[MOST_QUERIES][2];
        UNROLL
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                z[i][v] = load(sums + i * width + d + v * LANES);
        for (long p = 0; p < n_seen; p++) {
            vf v0 = load(values + p * width + d), v1 = load(values + p * width + d + LANES);
            UNROLL
            for (int i = 0; i < n; i++) {
                z[i][0] += splat(weights[i * CROWD_CHUNK + p]) * v0;
                z[i][1] += splat(weights[i * CROWD_CHUNK + p]) * v1;
            }
        }
        UNROLL
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                store(sums + i * width + d + v * LANES, z[i][v]);
    }
    for (; d < width; d++)
        for (int i = 0; i < n; i++)
            for (long p = 0; p < n_seen; p++)
                sums[i * width + d] += weights[i * CROWD_CHUNK + p] * values[p * width + d];
}

/* Scores of one query for positions 0 .. n_seen - 1 of the chunk to weights, those outside of
   first .. last - 1 to 0; `state`: largest score and sum. */
INLINE void weigh_query(const Crowd *op, float *scores, long n_seen, long first, long last,
                        float *state, float *sums)
{
    vf tops = splat(-INFINITY);
    vi lanes = {0};
    for (int i = 0; i < LANES; i++)
        lanes[i] = i;
    for (long p = 0; p < n_seen; p += LANES) {
        vf s = load(scores + p);
        if (op->softcap > 0)
            s = tanh_of(s / op->softcap) * op->softcap;
        if (p < first || p + LANES > last) {
            const vi at = lanes + (int32_t)p;
            s = choose((at < (int32_t)first) | (at >= (int32_t)last), splat(-INFINITY), s);
        }
        store(scores + p, s);
        tops = larger(s, tops);
    }
    const float here = largest(tops), top = here > state[0] ? here : state[0];
    const float mend = top == state[0] ? 1 : expf(state[0] - top);
    vf total = {0};
    for (long p = 0; p < n_seen; p += LANES) {
        vf s = load(scores + p), w = exponential(s - top);
        w = choose(s == splat(-INFINITY), (vf){0}, w);
        store(scores + p, w);
        total += w;
    }
    if (mend != 1)
        for (long d = 0; d < op->width; d++)
            sums[d] *= mend;
    state[0] = top, state[1] = state[1] * mend + sum(total);
}

/* `room`: see crowd_room in kernels.h. */
static void attend_crowd(const Crowd *op, float *room)
{
    const long width = op->width, group = op->group, n = op->n * group;
    float *keys = room, *scores = keys + width * CROWD_CHUNK;
    float *sums = scores + MOST_QUERIES * CROWD_CHUNK;
    float *states = sums + n * width;
    memset(sums, 0, (size_t)(n * width) * sizeof(float));
    for (long i = 0; i < n; i++)
        states[2 * i] = -INFINITY, states[2 * i + 1] = 0;
    const long end = op->position + op->n, begin = op->window ? op->position + 1 - op->window : 0;
    for (long from = begin > 0 ? begin : 0; from < end; from += CROWD_CHUNK) {
        const long seen = end - from < CROWD_CHUNK ? end - from : CROWD_CHUNK;
        for (long p = 0; p < seen; p += BLOCK)
            turn(op->keys + (from + p) * width, F32, width * (long)sizeof(float), seen - p, width, BLOCK,
                 keys + p * width);
        for (long i = 0, some; i < n; i += some) {
            const float *q[MOST_QUERIES];
            some = n - i >= ROWS ? ROWS : 1;
            const long last_seen = op->position + (i + some - 1) / group + 1;
            if (last_seen <= from)
                continue; /* none of these rows has come as far */
            const long mixed = last_seen - from < seen ? last_seen - from : seen;
            for (long j = 0; j < some; j++)
                q[j] = op->q + ((i + j) / group * op->heads + (i + j) % group) * width;
            if (some == ROWS)
                score_queries(op, q, keys, mixed, scores, ROWS);
            else
                score_queries(op, q, keys, mixed, scores, 1);
            for (long j = 0; j < some; j++) {
                const long last = op->position + (i + j) / group + 1;
                const long first = op->window && last > op->window ? last - op->window : 0;
                weigh_query(op, scores + j * CROWD_CHUNK, mixed, first - from, last - from,
                            states + 2 * (i + j), sums + (i + j) * width);
            }
            if (some == ROWS)
                mix_queries(op, scores, op->values + from * width, mixed, sums + i * width, ROWS);
            else
                mix_queries(op, scores, op->values + from * width, mixed, sums + i * width, 1);
        }
    }
    for (long i = 0; i < n; i++) {
        for (long d = 0; d < width; d++)
            sums[i * width + d] /= states[2 * i + 1];
        const long at = (i / group * op->heads + i % group) * width;
        narrow(sums + i * width, width, (char *)op->z + at * (op->z_kind == F32 ? 4 : 2), op->z_kind);
    }
}
