/* y = x W^T + bias for few rows of x, W in codes of 4 or 8 bits.

   The matrix lies in tiles of TILE output rows, one after the other. In a tile, columns go up in
   runs of 8 (4 bits) or 4 (8 bits); a run is TILE words of 32 bits, one per output row. Columns lie
   in pairs, one of each pair in the word's lower half and one in its upper half, so that a shift
   and a mask leave two codes as 16-bit numbers:

       4 bits: pair p of columns 2p and 2p + 1 at bit 4p of either half (p = 0 .. 3)
       8 bits: pair p at bit 8p of either half (p = 0, 1)

   Scales (fp16) and zero points (a byte each) lie by tile, group, output row. Rows and columns
   that fill up tiles and groups have the scale 0.

   x is rounded to 16-bit steps, each group of 32 with a step of its own: 1 / 32767 of its largest
   number. Sums over a group are then exact in 32 bits. */

enum { GROUP_PAIRS = GROUP / 2, VECTORS = TILE / LANES };

static void packed_prepare(const Packed *op, long first, long last)
{
    const long groups = (op->in + GROUP - 1) / GROUP;
    int16_t *steps = op->steps + first * groups * GROUP;
    float *step = op->step + first * groups;
    int32_t *sums = op->sums + first * groups;
    for (long row = first; row < last; row++)
        for (long g = 0; g < groups; g++, steps += GROUP) {
            float rest[GROUP] = {0};
            const long from = row * op->in + g * GROUP, n = op->in - g * GROUP;
            vf x[GROUP / LANES], tops = {0}, nothing = {0}, totals = {0};
            for (int i = 0; n < GROUP && i < n; i++)
                rest[i] = read(op->x, from + i, op->x_kind);
            for (int v = 0; v < GROUP / LANES; v++) {
                x[v] = n < GROUP ? load(rest + v * LANES) : load_kind(op->x, from + v * LANES, op->x_kind);
                tops = larger(magnitude(x[v]), tops);
                nothing += x[v] * 0.0f; /* NaN, where a number is infinite or NaN */
            }
            const float top = largest(tops), unusable = sum(nothing);
            const float inverse = top > 0 ? 32767.0f / top : 0;
            /* Below 2^-126 the inverse is infinite: such a group is too small to matter. */
            const int usable = unusable == 0 && inverse < INFINITY;
            for (int v = 0; v < GROUP / LANES; v++) {
                vf scaled = choose((vi)splat_bits(usable ? 0xffffffff : 0), x[v] * inverse, (vf){0});
                const vi rounded = (vi)(scaled + 12582912.0f) - (vi)splat(12582912.0f);
                const vh narrow = __builtin_convertvector(rounded, vh);
                memcpy(steps + v * LANES, &narrow, sizeof narrow);
                totals += __builtin_convertvector(rounded, vf); /* exact: below 2^24 */
            }
            const int32_t total = (int32_t)sum(totals);
            *step++ = unusable == 0 ? (usable ? top / 32767.0f : 0) : NAN;
            *sums++ = total;
        }
}

INLINE vu broadcast_pair(const int16_t *steps, long pair)
{
    uint32_t both;
    memcpy(&both, steps + 2 * pair, sizeof both);
    return splat_bits(both);
}

/* One tile of outputs for one row of x. */
INLINE void packed_tile(const Packed *op, long tile, long row, int bits, float *outputs)
{
    const int per_run = bits == 4 ? 4 : 2; /* pairs in a run */
    const uint32_t mask = bits == 4 ? 0x000f000f : 0x00ff00ff;
    const long groups = (op->in + GROUP - 1) / GROUP, ratio = op->group / GROUP;
    const long w_groups = (groups + ratio - 1) / ratio;
    const uint8_t *codes = op->codes + tile * groups * GROUP_PAIRS / per_run * TILE * 4;
    const uint16_t *scales = op->scales + tile * w_groups * TILE;
    const uint8_t *zeros = op->zeros ? op->zeros + tile * w_groups * TILE : 0;
    const int16_t *steps = op->steps + row * groups * GROUP;
    const float *step = op->step + row * groups;
    const int32_t *sums = op->sums + row * groups;
    const int middle = bits == 4 ? 8 : 128;
    vf y[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        y[v] = (vf){0};
    for (long g = 0, left = ratio; g < groups; g++, steps += GROUP) {
        vi total[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            total[v] = (vi){0};
        for (int pair = 0; pair < GROUP_PAIRS; pair += per_run) {
            vu x[4];
            for (int p = 0; p < per_run; p++)
                x[p] = broadcast_pair(steps, pair + p);
            for (int v = 0; v < VECTORS; v++, codes += VECTOR) {
                const vu word = load_bits(codes);
                if (v * VECTOR % 64 == 0)
                    __builtin_prefetch(codes + AHEAD);
                for (int p = 0; p < per_run; p++)
                    total[v] = add_halves(total[v], word >> bits * p & mask, x[p]);
            }
        }
        for (int v = 0; v < VECTORS; v++) {
            vi shift = middle * sums[g] - (vi){0};
            if (zeros)
                shift = load_bytes(zeros + v * LANES) * sums[g];
            vf exact = __builtin_convertvector(total[v] - shift, vf);
            y[v] += exact * (load_half(scales + v * LANES) * step[g]);
        }
        if (--left == 0) {
            left = ratio, scales += TILE;
            zeros = zeros ? zeros + TILE : 0;
        }
    }
    for (int v = 0; v < VECTORS; v++)
        store(outputs + v * LANES, y[v]);
}

INLINE void packed_bits(const Packed *op, long first, long last, int bits)
{
    for (long tile = first; tile < last; tile++)
        for (long row = 0; row < op->n; row++) {
            float y[TILE];
            packed_tile(op, tile, row, bits, y);
            for (int i = 0; i < TILE && tile * TILE + i < op->out; i++) {
                const long at = tile * TILE + i;
                const float bias = op->bias ? read(op->bias, at, op->bias_kind) : 0;
                write(op->y, row * op->out + at, y[i] + bias, op->y_kind);
            }
        }
}

static void packed(const Packed *op, long first, long last)
{
    if (op->bits == 4)
        packed_bits(op, first, last, 4);
    else
        packed_bits(op, first, last, 8);
}

/* The numbers of one row's group. */
static void unpack_group(const Packed *op, long row, long g, float values[GROUP])
{
    const int per_run = op->bits == 4 ? 4 : 2, bits = (int)op->bits;
    const long groups = (op->in + GROUP - 1) / GROUP, ratio = op->group / GROUP;
    const long w_groups = (groups + ratio - 1) / ratio, runs = groups * GROUP_PAIRS / per_run;
    const uint32_t mask = bits == 4 ? 15 : 255;
    const long tile = row / TILE, i = row % TILE, at = (tile * w_groups + g / ratio) * TILE + i;
    const uint8_t *codes = op->codes + ((tile * runs + g * GROUP_PAIRS / per_run) * TILE + i) * 4;
    uint16_t scales[LANES] = {op->scales[at]};
    const float scale = load_half(scales)[0];
    const float zero = op->zeros ? op->zeros[at] : (float)(1 << (bits - 1));
    for (int pair = 0; pair < GROUP_PAIRS; pair += per_run, codes += TILE * 4) {
        uint32_t word;
        memcpy(&word, codes, sizeof word);
        for (int p = 0; p < per_run; p++) {
            values[2 * (pair + p)] = ((float)(word >> bits * p & mask) - zero) * scale;
            values[2 * (pair + p) + 1] = ((float)(word >> (bits * p + 16) & mask) - zero) * scale;
        }
    }
}

/* Rows first .. last - 1 as a plain matrix (rows, in), at `to`. */
static void unpack(const Packed *op, long first, long last, void *to, Kind kind)
{
    for (long row = first; row < last; row++)
        for (long g = 0; g * GROUP < op->in; g++) {
            float values[GROUP];
            unpack_group(op, row, g, values);
            for (long k = 0; k < GROUP && g * GROUP + k < op->in; k++)
                write(to, (row - first) * op->in + g * GROUP + k, values[k], kind);
        }
}
