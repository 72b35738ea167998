/* Attention of one query per head, in pieces of some positions of one KV head, as in
   Flash-Decoding (https://crfm.stanford.edu/2023/10/12/flashdecoding.html): each piece leaves its
   largest score, its sum of weights and its weighted sum of values, and `merge` joins them. */

enum { MOST_CHUNK = 128, AT_ONCE = 4, PART = 2 };

static long n_chunks(const Attend *op) { return (op->last - op->first + op->chunk - 1) / op->chunk; }

/* Rows at .. at + AT_ONCE - 1 in fp32: where they lie, if they are, else copied to `wide`. */
INLINE const float *widened(const void *rows, Kind kind, long width, float *wide)
{
    if (kind == F32)
        return rows;
    long i = 0;
    for (; i + LANES <= AT_ONCE * width; i += LANES)
        store(wide + i, load_kind(rows, i, kind));
    for (; i < AT_ONCE * width; i++)
        wide[i] = read(rows, i, kind);
    return wide;
}

INLINE float dot_product(const float *a, const void *b, Kind kind, long n)
{
    vf total = {0};
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        total += load(a + i) * load_kind(b, i, kind);
    float dot = sum(total);
    for (; i < n; i++)
        dot += a[i] * read(b, i, kind);
    return dot;
}

/* Scores of all query heads of the group against n positions. */
INLINE void score(const Attend *op, const float *q, long group, const void *keys, Kind kind,
                  long n, float *scores)
{
    const long width = op->width, size = kind == F32 ? 4 : 2;
    float wide[AT_ONCE * 512];
    long at = 0;
    for (; at + AT_ONCE <= n; at += AT_ONCE) {
        const float *k = widened((const char *)keys + at * width * size, kind, width, wide);
        for (long head = 0; head < group; head++) {
            const float *query = q + head * width;
            vf totals[AT_ONCE];
            for (int p = 0; p < AT_ONCE; p++)
                totals[p] = (vf){0};
            long i = 0;
            for (; i + LANES <= width; i += LANES)
                for (int p = 0; p < AT_ONCE; p++)
                    totals[p] += load(query + i) * load(k + p * width + i);
            for (int p = 0; p < AT_ONCE; p++) {
                float dot = sum(totals[p]);
                for (long j = i; j < width; j++)
                    dot += query[j] * k[p * width + j];
                scores[head * MOST_CHUNK + at + p] = dot;
            }
        }
    }
    for (; at < n; at++)
        for (long head = 0; head < group; head++)
            scores[head * MOST_CHUNK + at] =
                dot_product(q + head * width, (const char *)keys + at * width * size, kind, width);
}

/* Scores to weights e^(score - largest), in place. */
INLINE void weigh(const Attend *op, float *scores, long n, float *top, float *total)
{
    if (op->softcap > 0)
        for (long i = 0; i < n; i += LANES) /* the row has room for whole vectors */
            store(scores + i, tanh_of(load(scores + i) / op->softcap) * op->softcap);
    *top = scores[0];
    for (long i = 1; i < n; i++)
        *top = scores[i] > *top ? scores[i] : *top;
    *total = 0;
    for (long i = 0; i < n; i += LANES)
        store(scores + i, exponential(load(scores + i) - *top));
    for (long i = 0; i < n; i++)
        *total += scores[i];
}

INLINE void mix(const Attend *op, const float *weights, long group, const void *values, Kind kind,
                long n, float *sums, long sums_stride)
{
    const long width = op->width, size = kind == F32 ? 4 : 2;
    float wide[AT_ONCE * 512];
    long at = 0;
    for (; at + AT_ONCE <= n; at += AT_ONCE) {
        const float *v = widened((const char *)values + at * width * size, kind, width, wide);
        for (long head = 0; head < group; head++) {
            const float *w = weights + head * MOST_CHUNK + at;
            float *to = sums + head * sums_stride;
            long i = 0;
            for (; i + LANES <= width; i += LANES) {
                vf total = load(to + i);
                for (int p = 0; p < AT_ONCE; p++)
                    total += w[p] * load(v + p * width + i);
                store(to + i, total);
            }
            for (; i < width; i++)
                for (int p = 0; p < AT_ONCE; p++)
                    to[i] += w[p] * v[p * width + i];
        }
    }
    for (; at < n; at++)
        for (long head = 0; head < group; head++) {
            float *to = sums + head * sums_stride;
            for (long i = 0; i < width; i++)
                to[i] += weights[head * MOST_CHUNK + at] * read(values, at * width + i, kind);
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
    /* Many query heads on one KV head are done a few at a time, to bound the scores' room. */
    enum { MOST_HEADS = 8 };
    float scores[MOST_HEADS * MOST_CHUNK];
    for (long head = 0; head < group; head += MOST_HEADS) {
        const long some = group - head < MOST_HEADS ? group - head : MOST_HEADS;
        float *own = parts + head * stride;
        memset(scores, 0, sizeof scores);
        score(op, q + head * width, some, (const char *)op->keys + at, kind, n, scores);
        for (long i = 0; i < some; i++) {
            weigh(op, scores + i * MOST_CHUNK, n, own + i * stride, own + i * stride + 1);
            memset(own + i * stride + PART, 0, (size_t)width * sizeof(float));
        }
        mix(op, scores, some, (const char *)op->values + at, kind, n, own + PART, stride);
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
        for (long i = 0; i < op->width; i++) {
            float mixed = 0;
            for (long c = 0; c < chunks; c++)
                mixed += parts[c * part] * parts[c * part + PART + i];
            write(z, head * op->width + i, mixed / total, kind);
        }
    }
}
