/* y = x W^T + bias for many rows of x, W in codes: x in 16-bit steps as packed.h has them, part of W
   laid out as panels of codes less their zero points, two columns to a word. Pairs are multiplied
   and added as whole numbers, twice as many at a time as fp32 would be; every group of columns is
   exact before its scales come in. */

/* Tile by tile, the words of output rows first .. first + PANEL - 1: (pairs, PANEL), and their
   scales: (groups, PANEL). */
INLINE void lay_codes(const Packed *op, long first, uint32_t *words, float *scales, int bits)
{
    const int per_run = bits == 4 ? 4 : 2; /* pairs */
    const uint32_t mask = bits == 4 ? 0x000f000f : 0x00ff00ff;
    const long groups = (op->in + GROUP - 1) / GROUP, ratio = op->group / GROUP;
    const long w_groups = (groups + ratio - 1) / ratio, runs = groups * GROUP_PAIRS / per_run;
    for (int v = 0; v < PANEL_VECTORS; v++) {
        const long row = first + v * LANES, tile = row / TILE, i = row % TILE;
        const int none = tile * TILE >= op->out;
        for (long g = 0; g < groups; g++) {
            const long at = none ? 0 : (tile * w_groups + g / ratio) * TILE + i;
            const vu zero = op->zeros ? (vu)load_bytes(op->zeros + at) : splat_bits(1 << (bits - 1));
            store(scales + g * PANEL + v * LANES, none ? (vf){0} : load_half(op->scales + at));
            for (int p = 0; p < GROUP_PAIRS; p++) {
                const long run = (g * GROUP_PAIRS + p) / per_run;
                vu word = {0};
                if (!none)
                    word = load_bits(op->codes + ((tile * runs + run) * TILE + i) * 4);
                word = word >> bits * (p % per_run) & mask;
                const vs halves = (vs)word - (vs)(zero | zero << 16);
                memcpy(words + (g * GROUP_PAIRS + p) * PANEL + v * LANES, &halves, sizeof halves);
            }
        }
    }
}

INLINE void multiply_steps(const Packed *op, const uint32_t *words, const float *scales,
                           const Result *to, long row, int n)
{
    const long groups = (op->in + GROUP - 1) / GROUP;
    const int16_t *steps = op->steps + row * groups * GROUP;
    const float *step = op->step + row * groups;
    vf y[6][PANEL_VECTORS];
    for (int r = 0; r < n; r++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            y[r][v] = (vf){0};
    for (long g = 0; g < groups; g++, steps += GROUP, scales += PANEL) {
        vi total[6][PANEL_VECTORS];
        for (int r = 0; r < n; r++)
            for (int v = 0; v < PANEL_VECTORS; v++)
                total[r][v] = (vi){0};
        for (int pair = 0; pair < GROUP_PAIRS; pair++, words += PANEL) {
            vu w[PANEL_VECTORS];
            for (int v = 0; v < PANEL_VECTORS; v++)
                w[v] = load_bits(words + v * LANES);
            for (int r = 0; r < n; r++) {
                const vu x = broadcast_pair(steps + r * groups * GROUP, pair);
                for (int v = 0; v < PANEL_VECTORS; v++)
                    total[r][v] = add_halves(total[r][v], w[v], x);
            }
        }
        for (int r = 0; r < n; r++)
            for (int v = 0; v < PANEL_VECTORS; v++)
                y[r][v] += __builtin_convertvector(total[r][v], vf) *
                           (load(scales + v * LANES) * step[r * groups + g]);
    }
    for (int r = 0; r < n; r++)
        finish(to, row + r, y[r]);
}

/* Panel number `panel` for rows first .. last - 1 of x. `room`: PANEL numbers for each pair of
   columns and for each group. */
static void multiply_packed(const Packed *op, long panel, long first, long last, void *room)
{
    const Result to = {op->y, op->bias, op->y_kind, op->bias_kind, op->out, panel * PANEL};
    const long groups = (op->in + GROUP - 1) / GROUP;
    uint32_t *words = room;
    float *scales = (float *)room + groups * GROUP_PAIRS * PANEL;
    if (op->bits == 4)
        lay_codes(op, panel * PANEL, words, scales, 4);
    else
        lay_codes(op, panel * PANEL, words, scales, 8);
    for (; first + 6 <= last; first += 6)
        multiply_steps(op, words, scales, &to, first, 6);
    for (; first + 2 <= last; first += 2)
        multiply_steps(op, words, scales, &to, first, 2);
    for (; first < last; first++)
        multiply_steps(op, words, scales, &to, first, 1);
}
