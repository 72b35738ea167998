/* y = x W^T + bias for many rows of x: part of W is laid out as panels of PANEL output rows, which
   stay in the cache while all rows of x pass by. */

enum { PANEL_VECTORS = 2, PANEL = PANEL_VECTORS * LANES };

/* Rows of x at a time: as many as leave their sums in registers. */
enum { ROWS = VECTOR == 64 ? 12 : 6 }; /* MOST_QUERIES at most */

/* One number of fp32, or of bf16, wherever it lies. */
INLINE float load_one(const char *p, Kind kind)
{
    float x;
    if (kind == BF16)
        return read(p, 0, BF16);
    memcpy(&x, p, sizeof x);
    return x;
}

INLINE vf4 load_four(const char *p, Kind kind)
{
    typedef uint16_t vh4 __attribute__((vector_size(8)));
    typedef uint32_t vu4 __attribute__((vector_size(16)));
    vf4 x;
    if (kind == F32) {
        memcpy(&x, p, sizeof x);
        return x;
    }
    vh4 halves;
    memcpy(&halves, p, sizeof halves);
    return (vf4)(__builtin_convertvector(halves, vu4) << 16);
}

/* `rows` rows of x, `stride` bytes apart, to (columns, width) in fp32; where there are fewer than
   `width`, zeros. width is a multiple of 4. */
INLINE void turn(const void *x, Kind kind, long stride, long rows, long columns, long width, float *to)
{
    const char *from = x;
    const long size = kind == F32 ? 4 : 2;
    for (long k = 0; k < columns; k += 4)
        for (long j = 0; j < width; j += 4) {
            const char *p = from + j * stride + k * size;
            float *at = to + k * width + j;
            if (j + 4 > rows || k + 4 > columns) {
                for (long i = k; i < k + 4 && i < columns; i++, p += size, at += width)
                    for (long r = 0; r < 4; r++)
                        at[r] = j + r < rows ? load_one(p + r * stride, kind) : 0;
                continue;
            }
            const vf4 a = load_four(p, kind), b = load_four(p + stride, kind);
            const vf4 c = load_four(p + 2 * stride, kind), d = load_four(p + 3 * stride, kind);
            const vf4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            const vf4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            const vf4 ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            const vf4 cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            const vf4 turned[4] = {
                __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
            for (int i = 0; i < 4; i++)
                memcpy(at + i * width, turned + i, sizeof turned[i]);
        }
}

/* Output rows first .. first + PANEL - 1 of a plain W, column by column in fp32: (in, PANEL); or
   pairs of columns as they are: (pairs, PANEL). */
static void lay_plain(const Dense *op, long first, float *panel)
{
    const long rows = op->out - first;
    if (op->w_kind == F32)
        turn((const float *)op->w + first * op->in, F32, op->in * 4, rows, op->in, PANEL, panel);
    else
        turn((const uint16_t *)op->w + first * op->in, BF16, op->in * 2, rows, op->in, PANEL, panel);
}

static void lay_pairs(const Dense *op, long first, uint32_t *panel)
{
    const uint16_t *w = (const uint16_t *)op->w + first * op->in;
    const long rows = op->out - first, pairs = op->in / 2;
    turn(w, F32, op->in * 2, rows, pairs, PANEL, (float *)panel);
    for (long j = 0; op->in % 2 && j < PANEL; j++)
        panel[pairs * PANEL + j] = j < rows ? w[(j + 1) * op->in - 1] : 0;
}

/* Where a panel's products go. */
typedef struct {
    void *y;
    const void *bias;
    Kind kind, bias_kind;
    long out, first;
} Result;

INLINE void finish(const Result *to, long row, const vf v[PANEL_VECTORS])
{
    for (int i = 0; i < PANEL_VECTORS; i++) {
        const long at = to->first + i * LANES, n = to->out - at;
        if (n >= LANES) {
            const vf sum = to->bias ? v[i] + load_kind(to->bias, at, to->bias_kind) : v[i];
            store_kind(to->y, row * to->out + at, sum, to->kind);
            continue;
        }
        for (long j = 0; j < n; j++)
            write(to->y, row * to->out + at + j,
                  v[i][j] + (to->bias ? read(to->bias, at + j, to->bias_kind) : 0), to->kind);
    }
}

INLINE void multiply_rows(const Dense *op, const float *panel, const Result *to, long row, int n)
{
    vf y[ROWS][PANEL_VECTORS];
    UNROLL
    for (int r = 0; r < n; r++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            y[r][v] = (vf){0};
    const float *x = op->wide + row * op->in;
    for (long k = 0; k < op->in; k++, panel += PANEL)
        UNROLL
        for (int r = 0; r < n; r++)
            for (int v = 0; v < PANEL_VECTORS; v++)
                y[r][v] += splat(x[r * op->in + k]) * load(panel + v * LANES);
    for (int r = 0; r < n; r++)
        finish(to, row + r, y[r]);
}

INLINE void multiply_pairs(const Dense *op, const uint32_t *panel, const Result *to, long row, int n)
{
    vf y[ROWS][PANEL_VECTORS];
    UNROLL
    for (int r = 0; r < n; r++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            y[r][v] = (vf){0};
    const uint16_t *x = (const uint16_t *)op->x + row * op->in;
    long k = 0;
    for (; k + 2 <= op->in; k += 2, panel += PANEL)
        UNROLL
        for (int r = 0; r < n; r++) {
            uint32_t pair;
            memcpy(&pair, x + r * op->in + k, sizeof pair);
            for (int v = 0; v < PANEL_VECTORS; v++)
                y[r][v] = add_pairs(y[r][v], load_bits(panel + v * LANES), splat_bits(pair));
        }
    for (int r = 0; k < op->in && r < n; r++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            y[r][v] = add_pairs(y[r][v], load_bits(panel + v * LANES), splat_bits(x[r * op->in + k]));
    for (int r = 0; r < n; r++)
        finish(to, row + r, y[r]);
}

INLINE void multiply_some(const Dense *op, const float *panel, const Result *to, long row, int n)
{
    if (by_pairs(op))
        multiply_pairs(op, (const uint32_t *)panel, to, row, n);
    else
        multiply_rows(op, panel, to, row, n);
}

/* Panel number `panel` for rows first .. last - 1 of x. `room`: PANEL times the columns. */
static void multiply(const Dense *op, long panel, long first, long last, float *room)
{
    const Result to = {op->y, op->bias, op->y_kind, op->bias_kind, op->out, panel * PANEL};
    if (by_pairs(op))
        lay_pairs(op, panel * PANEL, (uint32_t *)room);
    else
        lay_plain(op, panel * PANEL, room);
    /* Meanwhile the next panel that this thread is likely to take comes nearer. */
    const long bytes = op->in * size_of(op->w_kind) * PANEL, each = bytes * ROWS / (last - first) + 64;
    const char *next = (const char *)op->w + (panel + op->ahead) * bytes;
    for (; first + ROWS <= last; first += ROWS) {
        for (long i = 0; i < each; i += 64, next += 64)
            __builtin_prefetch(next, 0, 2);
        multiply_some(op, room, &to, first, ROWS);
    }
    for (; first + 4 <= last; first += 4)
        multiply_some(op, room, &to, first, 4);
    for (; first < last; first++)
        multiply_some(op, room, &to, first, 1);
}
