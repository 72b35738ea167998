/* A plain matrix rounded to codes, in the layout of packed.h; `core/quantize.py` says how scales are
   chosen, and does the same by torch. */

static const float SHRINKS[] = {1.0f, 0.92f, 0.84f, 0.76f};

/* fp16, to nearest, ties to even; beyond its range infinite. */
static uint16_t to_half(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000)
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* subnormal: adding 0.5 leaves the wanted bits at the end */
        float small;
        memcpy(&small, &bits, sizeof small);
        small += 0.5f;
        memcpy(&bits, &small, sizeof bits);
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
}

static float from_half(uint16_t h)
{
    uint16_t lanes[LANES] = {h};
    return load_half(lanes)[0];
}

/* n numbers, a multiple of LANES, in steps of `scale` -> codes; returns the squared error. */
INLINE float round_run(const float *x, long n, float scale, int middle, uint8_t *codes)
{
    const float divisor = scale == 0 ? 1 : scale, shifter = 12582912.0f;
    vf error = {0};
    for (long i = 0; i < n; i += LANES) {
        vf q = load(x + i) / splat(divisor);
        q = (q + shifter) - shifter + (float)middle;
        q = choose(q > 0.0f, q, (vf){0});
        q = choose(q > (float)(2 * middle - 1), splat((float)(2 * middle - 1)), q);
        vf off = (q - (float)middle) * scale - load(x + i);
        error += off * off;
        for (int j = 0; j < LANES; j++)
            codes[i + j] = (uint8_t)q[j];
    }
    return sum(error);
}

/* One run of columns that share a scale; returns the scale. */
static uint16_t round_group(const float *x, long n, int bits, uint8_t *codes)
{
    const int middle = 1 << (bits - 1);
    float extreme = 0, least = INFINITY;
    for (long i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    uint16_t best = 0;
    uint8_t tried[GROUP];
    for (int s = 0; s < (bits == 4 ? 4 : 1); s++) {
        const uint16_t scale = to_half(extreme * (-SHRINKS[s] / (float)middle));
        const float error =
            round_run(x, n, from_half(scale), middle, bits == 4 && n == GROUP ? tried : codes);
        if (s && !(error < least))
            continue;
        least = error, best = scale;
        if (bits == 4)
            memcpy(codes, tried, (size_t)n);
    }
    return best;
}

/* Tiles first .. last - 1 of W. `room`: padded columns of fp32, and TILE times as many bytes. */
static void quantize(const Quantize *op, long first, long last, void *room)
{
    const long columns = (op->in + GROUP - 1) / GROUP * GROUP, per_run = 32 / op->bits;
    const long groups = columns / op->group;
    float *x = room;
    uint8_t *codes = (uint8_t *)(x + columns);
    for (long tile = first; tile < last; tile++) {
        memset(codes, 0, (size_t)(TILE * columns));
        for (long i = 0; i < TILE; i++) {
            const long row = tile * TILE + i;
            for (long k = 0; k < columns; k++)
                x[k] = row < op->out && k < op->in ? read(op->w, row * op->in + k, op->kind) : 0;
            for (long g = 0; g < groups; g++)
                op->scales[(tile * groups + g) * TILE + i] =
                    round_group(x + g * op->group, op->group, (int)op->bits,
                                codes + i * columns + g * op->group);
        }
        uint32_t *words = op->codes + tile * columns / per_run * TILE;
        for (long run = 0; run < columns / per_run; run++)
            for (long i = 0; i < TILE; i++, words++) {
                const uint8_t *eight = codes + i * columns + run * per_run;
                *words = 0;
                for (long k = 0; k < per_run; k++)
                    *words |= (uint32_t)eight[k] << (op->bits * (k / 2) + 16 * (k % 2));
            }
    }
}
