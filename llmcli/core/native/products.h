/* y = x W^T + bias for many rows of x: part of W is laid out as panels of PANEL output rows, which
   stay in the cache while all rows of x pass by. */

enum { PANEL_VECTORS = 2, PANEL = PANEL_VECTORS * LANES };

/* Output rows first .. first + PANEL - 1 of a plain W in fp32, column by column: (in, PANEL). */
static void lay_plain(const Dense *op, long first, float *panel)
{
    for (long j = 0; j < PANEL; j++)
        for (long k = 0; k < op->in; k++)
            panel[k * PANEL + j] =
                first + j < op->out ? read(op->w, (first + j) * op->in + k, op->w_kind) : 0;
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
    vf y[6][PANEL_VECTORS];
    for (int r = 0; r < n; r++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            y[r][v] = (vf){0};
    const float *x = op->wide + row * op->in;
    for (long k = 0; k < op->in; k++, panel += PANEL) {
        vf w[PANEL_VECTORS];
        for (int v = 0; v < PANEL_VECTORS; v++)
            w[v] = load(panel + v * LANES);
        for (int r = 0; r < n; r++)
            for (int v = 0; v < PANEL_VECTORS; v++)
                y[r][v] += splat(x[r * op->in + k]) * w[v];
    }
    for (int r = 0; r < n; r++)
        finish(to, row + r, y[r]);
}

/* Panel number `panel` for rows first .. last - 1 of x. `room`: PANEL times the columns. */
static void multiply(const Dense *op, long panel, long first, long last, float *room)
{
    const Result to = {op->y, op->bias, op->y_kind, op->bias_kind, op->out, panel * PANEL};
    lay_plain(op, panel * PANEL, room);
    for (; first + 6 <= last; first += 6)
        multiply_rows(op, room, &to, first, 6);
    for (; first + 2 <= last; first += 2)
        multiply_rows(op, room, &to, first, 2);
    for (; first < last; first++)
        multiply_rows(op, room, &to, first, 1);
}
