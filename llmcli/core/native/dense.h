/* y = x W^T + bias for few rows of x, W in fp32 or bf16. */

/* Whether x is multiplied as it is, two columns at a time. */
INLINE int by_pairs(const Dense *op)
{
    return MULTIPLIES_BF16 && op->x_kind == BF16 && op->w_kind == BF16;
}

/* x in fp32. For few rows and bf16 weights, blocks of 2 * LANES hold their even numbers first, then their odd
   ones: that is how two of them come apart when a lane of W is read as one 32-bit number. */
static void dense_prepare(const Dense *op, long first, long last)
{
    if (by_pairs(op))
        return;
    float *wide = op->wide + first * op->in;
    const long whole = op->w_kind == BF16 && op->n <= FEW_ROWS ? op->in / (2 * LANES) * (2 * LANES) : 0;
    for (long row = first; row < last; row++, wide += op->in) {
        const long from = row * op->in;
        for (long block = 0; block < whole; block += 2 * LANES)
            for (long i = 0; i < LANES; i++) {
                wide[block + i] = read(op->x, from + block + 2 * i, op->x_kind);
                wide[block + LANES + i] = read(op->x, from + block + 2 * i + 1, op->x_kind);
            }
        long i = whole;
        for (; i + LANES <= op->in; i += LANES)
            store(wide + i, load_kind(op->x, from + i, op->x_kind));
        for (; i < op->in; i++)
            wide[i] = read(op->x, from + i, op->x_kind);
    }
}

/* 2 * LANES products from column k on. */
INLINE void add_products(const float *x, const void *w, Kind kind, long k, vf *even, vf *odd)
{
    if (kind == F32) {
        *even += load((const float *)w + k) * load(x + k);
        *odd += load((const float *)w + k + LANES) * load(x + k + LANES);
    } else {
        vu pairs = load_bits((const uint16_t *)w + k);
        *even += (vf)(pairs << 16) * load(x + k);
        *odd += (vf)(pairs & 0xffff0000) * load(x + k + LANES);
    }
}

/* One row at a time: memory is then read straight on, as the CPU foresees it. Rows side by side
   would share the loads of x, and cost more than half of the bandwidth. */
INLINE float dot_row(const float *x, const void *w, Kind kind, long in)
{
    const long block = 2 * LANES, whole = in / block * block;
    vf a = {0}, b = {0}, c = {0}, d = {0};
    long k = 0;
    for (; k + 2 * block <= whole; k += 2 * block) {
        for (int line = 0; kind == BF16 && line < 2 * VECTOR; line += 64)
            __builtin_prefetch((const char *)w + 2 * k + AHEAD + line);
        add_products(x, w, kind, k, &a, &b);
        add_products(x, w, kind, k + block, &c, &d);
    }
    if (k < whole)
        add_products(x, w, kind, k, &a, &b);
    float dot = sum((a + b) + (c + d));
    for (k = whole; k < in; k++)
        dot += x[k] * read(w, k, kind);
    return dot;
}

INLINE float dot_pairs(const uint16_t *x, const uint16_t *w, long in)
{
    enum { SUMS = 4, BLOCK_COLUMNS = 2 * LANES };
    vf sums[SUMS] = {{0}};
    long k = 0;
    for (; k + SUMS * BLOCK_COLUMNS <= in; k += SUMS * BLOCK_COLUMNS)
        UNROLL
        for (int i = 0; i < SUMS; i++) {
            const long at = k + i * BLOCK_COLUMNS;
            sums[i] = add_pairs(sums[i], load_bits(w + at), load_bits(x + at));
        }
    for (; k + BLOCK_COLUMNS <= in; k += BLOCK_COLUMNS)
        sums[0] = add_pairs(sums[0], load_bits(w + k), load_bits(x + k));
    float dot = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (; k < in; k++)
        dot += widen(x[k]) * widen(w[k]);
    return dot;
}

INLINE void dense_kind(const Dense *op, long first, long last, Kind kind, int pairs)
{
    for (long at = first; at < last; at++) {
        const char *w = (const char *)op->w + at * op->in * (kind == F32 ? 4 : 2);
        for (long row = 0; row < op->n; row++) {
            const long from = row * op->in;
            float dot = pairs ? dot_pairs((const uint16_t *)op->x + from, (const uint16_t *)w, op->in)
                              : dot_row(op->wide + from, w, kind, op->in);
            if (op->bias)
                dot += read(op->bias, at, op->bias_kind);
            write(op->y, row * op->out + at, dot, op->y_kind);
        }
    }
}

static void dense(const Dense *op, long first, long last)
{
    if (op->w_kind == F32)
        dense_kind(op, first, last, F32, 0);
    else if (by_pairs(op))
        dense_kind(op, first, last, BF16, 1);
    else
        dense_kind(op, first, last, BF16, 0);
}
