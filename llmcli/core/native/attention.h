/* Attention of one query per head, in pieces of some positions of one KV head, as in
   Flash-Decoding (https://crfm.stanford.edu/2023/10/12/flashdecoding.html): each piece leaves its
   largest score, its sum of weights and its weighted sum of values, and `merge` joins them. */

enum { MOST_CHUNK = 128, PART = 2, HEADS = 3 };

static long n_chunks(const Attend *op) { return (op->last - op->first + op->chunk - 1) / op->chunk; }

/* How many query heads are done at once: their sums stay in registers. */
INLINE long heads_at_once(long left) { return left == 4 ? 2 : left < HEADS ? left : HEADS; }

/* Scores of `heads` query heads against n positions. */
INLINE void score_heads(const float *q, const void *keys, const void *values, Kind kind, long width,
                        long n, int heads, float *scores)
{
    enum { POSITIONS = 4 };
    long at = 0;
    for (; at + POSITIONS <= n; at += POSITIONS) {
        const long from = at * width;
        for (long b = 0; b < POSITIONS * width * size_of(kind); b += 64)
            __builtin_prefetch((const char *)values + from * size_of(kind) + b);
        vf totals[HEADS][POSITIONS];
        UNROLL
        for (int head = 0; head < heads; head++)
            UNROLL
            for (int p = 0; p < POSITIONS; p++)
                totals[head][p] = (vf){0};
        long i = 0;
        for (; i + LANES <= width; i += LANES)
            UNROLL
            for (int p = 0; p < POSITIONS; p++) {
                const vf k = load_kind(keys, from + p * width + i, kind);
                UNROLL
                for (int head = 0; head < heads; head++)
                    totals[head][p] += load(q + head * width + i) * k;
            }
        UNROLL
        for (int head = 0; head < heads; head++) {
            const vf *t = totals[head];
            vf4 dots = sums_of(t[0], t[1], t[2], t[3]);
            for (long j = i; j < width; j++)
                UNROLL
                for (int p = 0; p < POSITIONS; p++)
                    dots[p] += q[head * width + j] * read(keys, from + p * width + j, kind);
            memcpy(scores + head * MOST_CHUNK + at, &dots, sizeof dots);
        }
    }
    for (; at < n; at++)
        UNROLL
        for (int head = 0; head < heads; head++) {
            vf total = {0};
            long i = 0;
            for (; i + LANES <= width; i += LANES)
                total += load(q + head * width + i) * load_kind(keys, at * width + i, kind);
            float dot = sum(total);
            for (; i < width; i++)
                dot += q[head * width + i] * read(keys, at * width + i, kind);
            scores[head * MOST_CHUNK + at] = dot;
        }
}

/* Scores to weights e^(score - largest), in place; the row has room for whole vectors. */
INLINE void weigh(const Attend *op, float *scores, long n, float *top, float *total)
{
    if (op->softcap > 0)
        for (long i = 0; i < n; i += LANES)
            store(scores + i, tanh_of(load(scores + i) / op->softcap) * op->softcap);
    for (long i = n; i % LANES; i++)
        scores[i] = scores[0];
    vf tops = load(scores), totals = {0};
    for (long i = LANES; i < n; i += LANES)
        tops = larger(load(scores + i), tops);
    *top = largest(tops);
    for (long i = n; i % LANES; i++)
        scores[i] = -INFINITY;
    for (long i = 0; i < n; i += LANES) {
        const vf weights = exponential(load(scores + i) - *top);
        store(scores + i, weights);
        totals += weights;
    }
    *total = sum(totals);
}

/* `vectors` vectors of the weighted sums of values, from number i of each row on. */
INLINE void mix_heads(const float *weights, const void *values, Kind kind, long width, long n,
                      int heads, long i, int vectors, float *sums, long sums_stride)
{
    vf totals[HEADS][4];
    UNROLL
    for (int head = 0; head < heads; head++)
        UNROLL
        for (int v = 0; v < vectors; v++)
            totals[head][v] = (vf){0};
    for (long at = 0; at < n; at++)
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf value = load_kind(values, at * width + i + v * LANES, kind);
            UNROLL
            for (int head = 0; head < heads; head++)
                totals[head][v] += weights[head * MOST_CHUNK + at] * value;
        }
    UNROLL
    for (int head = 0; head < heads; head++)
        UNROLL
        for (int v = 0; v < vectors; v++)
            store(sums + head * sums_stride + i + v * LANES, totals[head][v]);
}

/* One piece for `heads` query heads; `own` is where the first of them leaves its part. */
INLINE void attend_heads(const Attend *op, const float *q, const void *keys, const void *values,
                         Kind kind, long n, int heads, float *own, long stride)
{
    const long width = op->width;
    float scores[HEADS * MOST_CHUNK] = {0};
    score_heads(q, keys, values, kind, width, n, heads, scores);
    for (int head = 0; head < heads; head++)
        weigh(op, scores + head * MOST_CHUNK, n, own + head * stride, own + head * stride + 1);
    long i = 0;
    for (; i + 4 * LANES <= width; i += 4 * LANES)
        mix_heads(scores, values, kind, width, n, heads, i, 4, own + PART, stride);
    for (; i + LANES <= width; i += LANES)
        mix_heads(scores, values, kind, width, n, heads, i, 1, own + PART, stride);
    for (; i < width; i++)
        for (int head = 0; head < heads; head++) {
            float total = 0;
            for (long at = 0; at < n; at++)
                total += scores[head * MOST_CHUNK + at] * read(values, at * width + i, kind);
            own[head * stride + PART + i] = total;
        }
}

INLINE void attend_kind(const Attend *op, long kv_head, long chunk, Kind kind)
{
    const long group = op->heads / op->kv_heads, width = op->width, size = kind == F32 ? 4 : 2;
    const long from = op->first + chunk * op->chunk;
    const long n = op->last - from < op->chunk ? op->last - from : op->chunk;
    const long part = width + PART, stride = n_chunks(op) * part;
    const long at = (kv_head * op->stride + from * width) * size;
    float *parts = op->parts + kv_head * group * stride + chunk * part;
    const float *q = op->q + kv_head * group * width;
    const char *keys = (const char *)op->keys + at, *values = (const char *)op->values + at;
    for (long head = 0; head < group;) {
        const long heads = heads_at_once(group - head);
        if (heads == 3)
            attend_heads(op, q + head * width, keys, values, kind, n, 3, parts + head * stride, stride);
        else if (heads == 2)
            attend_heads(op, q + head * width, keys, values, kind, n, 2, parts + head * stride, stride);
        else
            attend_heads(op, q + head * width, keys, values, kind, n, 1, parts + head * stride, stride);
        head += heads;
    }
}

static void attend(const Attend *op, long kv_head, long chunk)
{
    if (op->kind == F32)
        attend_kind(op, kv_head, chunk, F32);
    else
        attend_kind(op, kv_head, chunk, BF16);
}

/* z (heads, width) from the pieces. */
static void merge(const Attend *op, void *z, Kind kind)
{
    const long chunks = n_chunks(op), part = op->width + PART;
    for (long head = 0; head < op->heads; head++) {
        float *parts = op->parts + head * chunks * part, top = parts[0], total = 0;
        for (long c = 1; c < chunks; c++)
            top = parts[c * part] > top ? parts[c * part] : top;
        for (long c = 0; c < chunks; c++) {
            parts[c * part] = expf(parts[c * part] - top);
            total += parts[c * part] * parts[c * part + 1];
        }
        long i = 0;
        for (; i + LANES <= op->width; i += LANES) {
            vf mixed = {0};
            for (long c = 0; c < chunks; c++)
                mixed += parts[c * part] * load(parts + c * part + PART + i);
            store_kind(z, head * op->width + i, mixed / total, kind);
        }
        for (; i < op->width; i++) {
            float mixed = 0;
            for (long c = 0; c < chunks; c++)
                mixed += parts[c * part] * parts[c * part + PART + i];
            write(z, head * op->width + i, mixed / total, kind);
        }
    }
}
