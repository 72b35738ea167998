/* y = x W^T + bias for many rows of x: part of W is laid out as panels of PANEL output rows, which
   stay in the cache while all rows of x pass by. */

enum { PANEL_VECTORS = 2, PANEL = PANEL_VECTORS * LANES };

/* Rows of x at a time: as many as leave their sums in registers. */
enum { ROWS = VECTOR == 64 ? 12 : 6 };

/* Output rows first .. first + PANEL - 1 of a plain W in fp32, column by column: (in, PANEL); or
   pairs of columns as they are: (pairs, PANEL). */
static void lay_plain(const Dense *op, long first, float *panel)
{
    for (long j = 0; j < PANEL; j++)
        for (long k = 0; k < op->in; k++)
            panel[k * PANEL + j] =
                first + j < op->out ? read(op->w, (first + j) * op->in + k, op->w_kind) : 0;
}

static void lay_pairs(const Dense *op, long first, uint32_t *panel)
{
    const uint16_t *w = (const uint16_t *)op->w + first * op->in;
    for (long j = 0; j < PANEL; j++, w += op->in)
        for (long k = 0; k < op->in; k += 2) {
            uint32_t pair = 0;
            if (first + j < op->out)
                memcpy(&pair, w + k, k + 1 < op->in ? 4 : 2);
            panel[k / 2 * PANEL + j] = pair;
        }
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
    for (; first + ROWS <= last; first += ROWS)
        multiply_some(op, room, &to, first, ROWS);
    for (; first + 2 <= last; first += 2)
        multiply_some(op, room, &to, first, 2);
    for (; first < last; first++)
        multiply_some(op, room, &to, first, 1);
}
