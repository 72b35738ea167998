/* Attention of many queries over one KV head, chunk by chunk of positions, with the softmax's sums
   carried along and mended when a larger score comes (FlashAttention, arXiv:2205.14135). */

/* q (6 or less, width) times keys laid out (width, CHUNK): scores of CHUNK positions. */
INLINE void score_queries(const Crowd *op, const float *const *q, const float *keys, float *scores,
                          int n)
{
    for (long p = 0; p < CROWD_CHUNK; p += 2 * LANES) {
        vf s[6][2];
        for (int i = 0; i < n; i++)
            s[i][0] = s[i][1] = (vf){0};
        for (long d = 0; d < op->width; d++) {
            vf k0 = load(keys + d * CROWD_CHUNK + p), k1 = load(keys + d * CROWD_CHUNK + p + LANES);
            for (int i = 0; i < n; i++) {
                s[i][0] += splat(q[i][d]) * k0;
                s[i][1] += splat(q[i][d]) * k1;
            }
        }
        for (int i = 0; i < n; i++) {
            store(scores + i * CROWD_CHUNK + p, s[i][0]);
            store(scores + i * CROWD_CHUNK + p + LANES, s[i][1]);
        }
    }
}

/* sums (6 or less, width) += weights (same, CHUNK) times n_seen values. */
INLINE void mix_queries(const Crowd *op, const float *weights, const float *values, long n_seen,
                        float *sums, int n)
{
    const long width = op->width;
    long d = 0;
    for (; d + 2 * LANES <= width; d += 2 * LANES) {
        vf z[6][2];
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                z[i][v] = load(sums + i * width + d + v * LANES);
        for (long p = 0; p < n_seen; p++) {
            vf v0 = load(values + p * width + d), v1 = load(values + p * width + d + LANES);
            for (int i = 0; i < n; i++) {
                z[i][0] += splat(weights[i * CROWD_CHUNK + p]) * v0;
                z[i][1] += splat(weights[i * CROWD_CHUNK + p]) * v1;
            }
        }
        for (int i = 0; i < n; i++)
            for (int v = 0; v < 2; v++)
                store(sums + i * width + d + v * LANES, z[i][v]);
    }
    for (; d < width; d++)
        for (int i = 0; i < n; i++)
            for (long p = 0; p < n_seen; p++)
                sums[i * width + d] += weights[i * CROWD_CHUNK + p] * values[p * width + d];
}

/* Scores of one query to weights, those it does not see to 0; `state`: largest score and sum. */
INLINE void weigh_query(const Crowd *op, float *scores, long from, long first, long last,
                        float *state, float *sums)
{
    float top = state[0];
    for (long p = 0; p < CROWD_CHUNK; p += LANES) {
        vf s = load(scores + p);
        if (op->softcap > 0)
            s = tanh_of(s / op->softcap) * op->softcap;
        for (int i = 0; i < LANES; i++)
            if (from + p + i < first || from + p + i >= last)
                s[i] = -INFINITY;
        store(scores + p, s);
        const float here = largest(s);
        top = here > top ? here : top;
    }
    const float mend = top == state[0] ? 1 : expf(state[0] - top);
    vf total = {0};
    for (long p = 0; p < CROWD_CHUNK; p += LANES) {
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
    float *keys = room, *scores = keys + width * CROWD_CHUNK, *sums = scores + n * CROWD_CHUNK;
    float *states = sums + n * width;
    memset(sums, 0, (size_t)(n * width) * sizeof(float));
    for (long i = 0; i < n; i++)
        states[2 * i] = -INFINITY, states[2 * i + 1] = 0;
    const long end = op->position + op->n, begin = op->window ? op->position + 1 - op->window : 0;
    for (long from = begin > 0 ? begin : 0; from < end; from += CROWD_CHUNK) {
        const long seen = end - from < CROWD_CHUNK ? end - from : CROWD_CHUNK;
        for (long p = 0; p < CROWD_CHUNK; p++)
            for (long d = 0; d < width; d++)
                keys[d * CROWD_CHUNK + p] = p < seen ? op->keys[(from + p) * width + d] : 0;
        for (long i = 0; i < n; i += 6) {
            const float *q[6];
            const long some = n - i < 6 ? n - i : 6;
            const long last_seen = op->position + (i + some - 1) / group + 1;
            if (last_seen <= from)
                continue; /* none of these rows has come as far */
            for (long j = 0; j < 6; j++) {
                const long query = j < some ? i + j : i;
                q[j] = op->q + (query / group * op->heads + query % group) * width;
            }
            float *six = scores + i * CROWD_CHUNK;
            if (some == 6)
                score_queries(op, q, keys, six, 6);
            else
                for (long j = 0; j < some; j++)
                    score_queries(op, q + j, keys, six + j * CROWD_CHUNK, 1);
            for (long j = 0; j < some; j++) {
                const long last = op->position + (i + j) / group + 1;
                const long first = op->window && last > op->window ? last - op->window : 0;
                weigh_query(op, six + j * CROWD_CHUNK, from, first, last, states + 2 * (i + j),
                            sums + (i + j) * width);
            }
            const long mixed = last_seen - from < seen ? last_seen - from : seen;
            if (some == 6)
                mix_queries(op, six, op->values + from * width, mixed, sums + i * width, 6);
            else
                for (long j = 0; j < some; j++)
                    mix_queries(op, six + j * CROWD_CHUNK, op->values + from * width, mixed,
                                sums + (i + j) * width, 1);
        }
    }
    for (long i = 0; i < n; i++)
        for (long d = 0; d < width; d++)
            write(op->z, (i / group * op->heads + i % group) * width + d,
                  sums[i * width + d] / states[2 * i + 1], op->z_kind);
}
