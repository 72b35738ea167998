/* What is done row by row: norms, activations, sums, rotation, rounding. */

static void norm(const Norm *op)
{
    const long width = op->width, whole = width / LANES * LANES;
    for (long row = 0; row < op->n; row++) {
        const long from = row * width;
        float mean = 0;
        if (op->bias) {
            vf sums = {0};
            for (long i = 0; i < whole; i += LANES)
                sums += load_kind(op->x, from + i, op->kind);
            mean = sum(sums);
            for (long i = whole; i < width; i++)
                mean += read(op->x, from + i, op->kind);
            mean /= (float)width;
        }
        vf squares = {0};
        for (long i = 0; i < whole; i += LANES) {
            vf x = load_kind(op->x, from + i, op->kind) - mean;
            squares += x * x;
        }
        float total = sum(squares);
        for (long i = whole; i < width; i++) {
            float x = read(op->x, from + i, op->kind) - mean;
            total += x * x;
        }
        const float scale = (float)(1 / sqrt((double)total / (double)width + op->eps));
        for (long i = 0; i < whole; i += LANES) {
            vf x = (load_kind(op->x, from + i, op->kind) - mean) * scale * load(op->weight + i);
            if (op->bias)
                x += load(op->bias + i);
            store_kind(op->y, from + i, x, op->kind);
        }
        for (long i = whole; i < width; i++) {
            float x = (read(op->x, from + i, op->kind) - mean) * scale * op->weight[i];
            write(op->y, from + i, op->bias ? x + op->bias[i] : x, op->kind);
        }
    }
}

INLINE vf activation(vf x, Activation kind)
{
    if (kind == SILU)
        return choose(x < -87.0f, x * 0.0f, x / (1.0f + exponential(-x)));
    if (kind == GELU_TANH)
        return 0.5f * x * (1.0f + tanh_of(0.7978845608f * (x + 0.044715f * x * x * x)));
    return choose(x < 0.0f, (vf){0}, x);
}

INLINE void activate_kind(const Activate *op, Activation kind)
{
    const long width = op->width, stride = op->gated ? 2 * width : width;
    for (long row = 0; row < op->n; row++) {
        const long from = row * stride;
        for (long i = 0; i < width; i += LANES) {
            float gates[LANES] = {0}, ups[LANES] = {0};
            const long n = width - i < LANES ? width - i : LANES;
            vf x, up = {0};
            if (n == LANES) {
                x = load_kind(op->x, from + i, op->kind);
                if (op->gated)
                    up = load_kind(op->x, from + width + i, op->kind);
            } else {
                for (long j = 0; j < n; j++) {
                    gates[j] = read(op->x, from + i + j, op->kind);
                    ups[j] = op->gated ? read(op->x, from + width + i + j, op->kind) : 0;
                }
                x = load(gates), up = load(ups);
            }
            vf y = activation(x, kind);
            if (op->gated)
                y *= up;
            if (n == LANES)
                store_kind(op->y, row * width + i, y, op->kind);
            else
                for (long j = 0; j < n; j++)
                    write(op->y, row * width + i + j, y[j], op->kind);
        }
    }
}

static void activate(const Activate *op)
{
    if (op->activation == SILU)
        activate_kind(op, SILU);
    else if (op->activation == GELU_TANH)
        activate_kind(op, GELU_TANH);
    else
        activate_kind(op, RELU);
}

static void add(const Add *op)
{
    long i = 0;
    for (; i + LANES <= op->n; i += LANES) {
        const vf added = load_kind(op->added, i, op->kind) * op->scale;
        store_kind(op->y, i, op->x ? load_kind(op->x, i, op->kind) + added : added, op->kind);
    }
    for (; i < op->n; i++) {
        const float added = read(op->added, i, op->kind) * op->scale;
        write(op->y, i, op->x ? read(op->x, i, op->kind) + added : added, op->kind);
    }
}

static void gather(const Gather *op)
{
    for (long row = 0; row < op->n; row++)
        for (long i = 0; i < op->width; i++) {
            const long from = row * op->width + op->order[i], to = row * op->width + i;
            if (op->kind == F32)
                ((float *)op->y)[to] = ((const float *)op->x)[from];
            else
                ((uint16_t *)op->y)[to] = ((const uint16_t *)op->x)[from];
        }
}

static Survey survey(const float *x, long n)
{
    const long whole = n / LANES * LANES;
    vf tops = splat(-INFINITY), unusable = {0};
    for (long i = 0; i < whole; i += LANES) {
        tops = larger(load(x + i), tops);
        unusable += (vf)((vi)(load(x + i) != load(x + i)) & 1);
    }
    Survey found = {0, largest(tops), 0};
    int nan = sum(unusable) != 0;
    for (long i = whole; i < n; i++) {
        found.top = x[i] > found.top ? x[i] : found.top;
        nan |= x[i] != x[i];
    }
    if (nan)
        return (Survey){0, NAN, NAN};
    while (x[found.index] != found.top)
        found.index++;
    double total = 0;
    for (long block = 0; block < whole; block += 256 * LANES) {
        const long end = block + 256 * LANES < whole ? block + 256 * LANES : whole;
        vf part = {0};
        for (long i = block; i < end; i += LANES)
            part += exponential(load(x + i) - found.top);
        total += sum(part);
    }
    for (long i = whole; i < n; i++)
        total += expf(x[i] - found.top);
    found.log_total = log(total) + found.top;
    return found;
}

/* One head: its first `rotated` numbers turned, halves paired, and all multiplied by `scale`. */
static void rotate(const void *x, Kind kind, long width, long rotated, const float *cos,
                   const float *sin, float scale, float *to)
{
    const long half = rotated / 2;
    long i = 0;
    for (; i + LANES <= half; i += LANES) {
        const vf a = load_kind(x, i, kind), b = load_kind(x, i + half, kind);
        store(to + i, (a * load(cos + i) - b * load(sin + i)) * scale);
        store(to + i + half, (b * load(cos + i + half) + a * load(sin + i + half)) * scale);
    }
    for (; i < half; i++) {
        float a = read(x, i, kind), b = read(x, i + half, kind);
        to[i] = (a * cos[i] - b * sin[i]) * scale;
        to[i + half] = (b * cos[i + half] + a * sin[i + half]) * scale;
    }
    for (i = rotated; i < width; i++)
        to[i] = read(x, i, kind) * scale;
}

static void narrow(const float *x, long n, void *to, Kind kind)
{
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        store_kind(to, i, load(x + i), kind);
    for (; i < n; i++)
        write(to, i, x[i], kind);
}

static void widen_all(const void *x, long n, Kind kind, float *to)
{
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        store(to + i, load_kind(x, i, kind));
    for (; i < n; i++)
        to[i] = read(x, i, kind);
}
