/* y = x W^T + bias for few rows of x, W in fp32 or bf16. */

/* Output rows that share each load of x. */
enum { ROWS = 4 };

/* x in fp32. For few rows and bf16 weights, blocks of 2 * LANES hold their even numbers first, then their odd
   ones: that is how two of them come apart when a lane of W is read as one 32-bit number. */
static void dense_prepare(const Dense *op, float *wide)
{
    const long whole = op->w_kind == BF16 && op->n <= FEW_ROWS ? op->in / (2 * LANES) * (2 * LANES) : 0;
    for (long row = 0; row < op->n; row++, wide += op->in) {
        const long from = row * op->in;
        for (long block = 0; block < whole; block += 2 * LANES)
            for (long i = 0; i < LANES; i++) {
                wide[block + i] = read(op->x, from + block + 2 * i, op->x_kind);
                wide[block + LANES + i] = read(op->x, from + block + 2 * i + 1, op->x_kind);
            }
        for (long i = whole; i < op->in; i++)
            wide[i] = read(op->x, from + i, op->x_kind);
    }
}

INLINE void dot_rows(const Dense *op, const float *x, const void *w, Kind kind, int n, float *dots)
{
    const long in = op->in, whole = in / (2 * LANES) * (2 * LANES);
    vf even[ROWS], odd[ROWS];
    for (int r = 0; r < n; r++)
        even[r] = odd[r] = (vf){0};
    for (long k = 0; k < whole; k += 2 * LANES) {
        vf x0 = load(x + k), x1 = load(x + k + LANES);
        for (int r = 0; r < n; r++) {
            if (kind == F32) {
                const float *row = (const float *)w + r * in + k;
                even[r] += load(row) * x0;
                odd[r] += load(row + LANES) * x1;
            } else {
                vu pairs = load_bits((const uint16_t *)w + r * in + k);
                even[r] += (vf)(pairs << 16) * x0;
                odd[r] += (vf)(pairs & 0xffff0000) * x1;
            }
        }
    }
    for (int r = 0; r < n; r++) {
        float dot = sum(even[r] + odd[r]);
        for (long k = whole; k < in; k++)
            dot += x[k] * read(w, r * in + k, kind);
        dots[r] = dot;
    }
}

INLINE void dense_kind(const Dense *op, long first, long last, Kind kind)
{
    const long size = kind == F32 ? 4 : 2;
    for (long at = first; at < last; at += ROWS) {
        const int n = last - at < ROWS ? (int)(last - at) : ROWS;
        const char *w = (const char *)op->w + at * op->in * size;
        for (long row = 0; row < op->n; row++) {
            float dots[ROWS];
            const float *x = op->wide + row * op->in;
            if (n == ROWS)
                dot_rows(op, x, w, kind, ROWS, dots);
            else
                for (int r = 0; r < n; r++)
                    dot_rows(op, x, w + r * op->in * size, kind, 1, dots + r);
            for (int r = 0; r < n; r++) {
                if (op->bias)
                    dots[r] += read(op->bias, at + r, op->bias_kind);
                write(op->y, row * op->out + at + r, dots[r], op->y_kind);
            }
        }
    }
}

static void dense(const Dense *op, long first, long last)
{
    if (op->w_kind == F32)
        dense_kind(op, first, last, F32);
    else
        dense_kind(op, first, last, BF16);
}
