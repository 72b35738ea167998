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

/* The same of a packed W, where the rows of a tile lie side by side already. */
INLINE void lay_bits(const Packed *op, long first, float *panel, int bits)
{
    const int per_run = bits == 4 ? 4 : 2; /* pairs */
    const long groups = (op->in + GROUP - 1) / GROUP, ratio = op->group / GROUP;
    const long w_groups = (groups + ratio - 1) / ratio, runs = groups * GROUP_PAIRS / per_run;
    for (int v = 0; v < PANEL_VECTORS; v++) {
        const long row = first + v * LANES, tile = row / TILE, i = row % TILE;
        if (tile * TILE >= op->out) {
            for (long k = 0; k < op->in; k++)
                store(panel + k * PANEL + v * LANES, (vf){0});
            continue;
        }
        for (long g = 0, k = 0; g < groups; g++) {
            const long at = (tile * w_groups + g / ratio) * TILE + i;
            const vf scale = load_half(op->scales + at);
            const vi zero = op->zeros ? load_bytes(op->zeros + at) : (1 << (bits - 1)) - (vi){0};
            for (long run = g * GROUP_PAIRS / per_run; k < op->in && k < (g + 1) * GROUP; run++) {
                vu words = load_bits(op->codes + ((tile * runs + run) * TILE + i) * 4);
                for (int column = 0; column < 2 * per_run && k < op->in; column++, k++) {
                    const int shift = bits * (column / 2) + 16 * (column % 2);
                    vi code = (vi)(words >> shift & (bits == 4 ? 15 : 255)) - zero;
                    store(panel + k * PANEL + v * LANES, __builtin_convertvector(code, vf) * scale);
                }
            }
        }
    }
}

static void lay_packed(const Packed *op, long first, float *panel)
{
    if (op->bits == 4)
        lay_bits(op, first, panel, 4);
    else
        lay_bits(op, first, panel, 8);
}

INLINE void finish(const Dense *op, long row, long first, const vf v[PANEL_VECTORS])
{
    float lanes[PANEL];
    for (int i = 0; i < PANEL_VECTORS; i++)
        store(lanes + i * LANES, v[i]);
    for (long j = 0; j < PANEL && first + j < op->out; j++) {
        if (op->bias)
            lanes[j] += read(op->bias, first + j, op->bias_kind);
        write(op->y, row * op->out + first + j, lanes[j], op->y_kind);
    }
}

INLINE void multiply_rows(const Dense *op, const float *panel, long first, long row, int n)
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
        finish(op, row + r, first, y[r]);
}

/* Panel number `panel` for rows first .. last - 1 of x; W is packed, or where that is null op's own.
   `room`: PANEL times the columns. */
static void multiply(const Dense *op, const Packed *packed, long panel, long first, long last,
                     float *room)
{
    if (packed)
        lay_packed(packed, panel * PANEL, room);
    else
        lay_plain(op, panel * PANEL, room);
    for (; first + 6 <= last; first += 6)
        multiply_rows(op, room, panel * PANEL, first, 6);
    for (; first + 2 <= last; first += 2)
        multiply_rows(op, room, panel * PANEL, first, 2);
    for (; first < last; first++)
        multiply_rows(op, room, panel * PANEL, first, 1);
}
