/* Runs every kernel, at each vector width, on arrays that end where the numbers do, so that the
   address sanitizer sees a step beyond; and holds the results against plain loops in double. A
   width that this CPU has no instructions for runs all the same: the compiler makes do. */
#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

static int failures;
static unsigned seed = 1;

static void expect(const char *what, const char *table, double ours, double theirs, double bound)
{
    if (fabs(ours - theirs) <= bound)
        return;
    printf("%s %s: %.9g, not %.9g\n", table, what, ours, theirs);
    failures++;
}

static float number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (1 << 23) - 1;
}

static uint16_t narrowed(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void *numbers(long n, Kind kind)
{
    void *p = malloc((size_t)n * (kind == F32 ? 4 : 2));
    for (long i = 0; i < n; i++)
        if (kind == F32)
            ((float *)p)[i] = number();
        else
            ((uint16_t *)p)[i] = narrowed(number());
    return p;
}

static double at(const void *p, long i, Kind kind)
{
    if (kind == F32)
        return ((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double bound(Kind kind) { return kind == F32 ? 1e-4 : 0.05; }

static void check_dense(const Kernels *k, long n, long in, long out, Kind kind)
{
    Dense op = {.n = n, .in = in, .out = out, .x_kind = kind, .w_kind = kind, .bias_kind = kind,
                .y_kind = kind};
    void *x = numbers(n * in, kind), *w = numbers(in * out, kind), *bias = numbers(out, kind);
    float *wide = malloc(sizeof(float) * (size_t)(n * in));
    op.x = x, op.w = w, op.bias = bias, op.y = numbers(n * out, kind);
    op.wide = wide;
    k->dense_prepare(&op, 0, n / 2);
    k->dense_prepare(&op, n / 2, n);
    if (n > FEW_ROWS) {
        float *room = malloc(sizeof(float) * (size_t)(in * k->panel));
        for (long panel = 0; panel * k->panel < out; panel++) {
            k->multiply(&op, panel, 0, n / 2, room);
            k->multiply(&op, panel, n / 2, n, room);
        }
        free(room);
    } else {
        k->dense(&op, 0, out / 2);
        k->dense(&op, out / 2, out);
    }
    for (long i = 0; i < n; i++)
        for (long o = 0; o < out; o++) {
            double sum = at(bias, o, kind);
            for (long j = 0; j < in; j++)
                sum += at(x, i * in + j, kind) * at(w, o * in + j, kind);
            expect("dense", k->name, at(op.y, i * out + o, kind), sum, bound(kind) * (1 + in / 50));
        }
    free(x), free(w), free(bias), free(wide), free(op.y);
}

static double half(uint16_t h)
{
    const int exponent = h >> 10 & 31;
    const double part = h & 1023;
    const double size = exponent ? ldexp(1024 + part, exponent - 25) : ldexp(part, -24);
    return h >> 15 ? -size : size;
}

static void check_packed(const Kernels *k, long n, long in, long out, int bits, Kind kind)
{
    const long columns = (in + GROUP - 1) / GROUP * GROUP, tiles = (out + TILE - 1) / TILE;
    const long group = bits == 4 ? GROUP : columns, groups = columns / group;
    float *w = numbers(in * out, F32);
    uint32_t *codes = malloc((size_t)(tiles * TILE * columns * bits / 8));
    uint16_t *scales = malloc(sizeof *scales * (size_t)(tiles * TILE * groups));
    uint8_t *zeros = malloc((size_t)(tiles * TILE * groups));
    memset(zeros, bits == 4 ? 8 : 128, (size_t)(tiles * TILE * groups));
    Quantize rounding = {.in = in, .out = out, .bits = bits, .group = group, .w = w, .kind = F32,
                         .codes = codes, .scales = scales};
    void *room = malloc((size_t)columns * (4 + TILE));
    k->quantize(&rounding, 0, tiles, room);

    Packed op = {.n = n, .in = in, .out = out, .bits = bits, .group = group, .codes = (void *)codes,
                 .scales = scales, .x_kind = kind, .y_kind = kind};
    const long x_groups = columns / GROUP;
    int16_t *steps = malloc(sizeof *steps * (size_t)(n * columns));
    float *step = malloc(sizeof *step * (size_t)(n * x_groups));
    int32_t *sums = malloc(sizeof *sums * (size_t)(n * x_groups));
    void *x = numbers(n * in, kind), *y = numbers(n * out, kind);
    float *plain = malloc(sizeof(float) * (size_t)(in * out));
    op.x = x, op.y = y;
    op.steps = steps, op.step = step, op.sums = sums;
    k->packed_prepare(&op, 0, n / 2);
    k->packed_prepare(&op, n / 2, n);
    k->unpack(&op, 0, op.out, plain, F32);
    uint32_t *panel_room = malloc((size_t)(columns / 2 + x_groups) * 4 * (size_t)k->panel);
    for (int turn = 0; turn < 4; turn++) { /* zero points as they are known, then as an array */
        op.zeros = turn % 2 ? zeros : 0;
        if (turn < 2) {
            k->packed(&op, 0, tiles / 2);
            k->packed(&op, tiles / 2, tiles);
        } else
            for (long panel = 0; panel * k->panel < out; panel++) {
                k->multiply_packed(&op, panel, 0, n / 2, panel_room);
                k->multiply_packed(&op, panel, n / 2, n, panel_room);
            }
        for (long i = 0; i < n; i++)
            for (long o = 0; o < out; o++) {
                double sum = 0;
                for (long j = 0; j < in; j++)
                    sum += at(x, i * in + j, kind) * plain[o * in + j];
                expect(turn < 2 ? "packed" : "multiply_packed", k->name, at(y, i * out + o, kind),
                       sum, 2 * bound(kind) * (1 + in / 50));
            }
        memset(y, 255, (size_t)(n * out * (kind == F32 ? 4 : 2)));
    }
    free(panel_room);
    for (long o = 0; o < out; o++)
        for (long j = 0; j < in; j++) {
            const long scale_at = (o / TILE * groups + j / group) * TILE + o % TILE;
            expect("quantize", k->name, plain[o * in + j], w[o * in + j],
                   3 * fabs(half(scales[scale_at]))); /* a clipped number is off by more steps */
        }
    free(w), free(codes), free(scales), free(zeros), free(room), free(steps), free(step);
    free(sums), free(x), free(y), free(plain);
}

static void check_rows(const Kernels *k, long n, long width, Kind kind)
{
    float *weight = numbers(width, F32), *bias = numbers(width, F32);
    void *x = numbers(n * width, kind), *y = numbers(n * width, kind);
    Norm norm = {n, width, x, y, kind, weight, bias, 1e-5f};
    k->norm(&norm);
    for (long i = 0; i < n; i++) {
        double mean = 0, square = 0;
        for (long j = 0; j < width; j++)
            mean += at(x, i * width + j, kind) / (double)width;
        for (long j = 0; j < width; j++)
            square += pow(at(x, i * width + j, kind) - mean, 2) / (double)width;
        for (long j = 0; j < width; j++)
            expect("norm", k->name, at(y, i * width + j, kind),
                   (at(x, i * width + j, kind) - mean) / sqrt(square + 1e-5) * weight[j] + bias[j],
                   2 * bound(kind));
    }
    void *both = numbers(2 * n * width, kind);
    Activate act = {n, width, both, y, kind, SILU, 1};
    k->activate(&act);
    for (long i = 0; i < n; i++)
        for (long j = 0; j < width; j++) {
            const double gate = at(both, 2 * i * width + j, kind);
            expect("silu", k->name, at(y, i * width + j, kind),
                   gate / (1 + exp(-gate)) * at(both, (2 * i + 1) * width + j, kind), bound(kind));
        }
    free(weight), free(bias), free(x), free(y), free(both);
}

static void check_attention(const Kernels *k, long heads, long kv_heads, long width, long first,
                            long last, Kind kind)
{
    Attend op = {.heads = heads, .kv_heads = kv_heads, .width = width, .first = first, .last = last,
                 .chunk = 128, .stride = last * width, .kind = kind};
    const long chunks = (last - first + op.chunk - 1) / op.chunk;
    float *q = numbers(heads * width, F32);
    void *keys = numbers(kv_heads * last * width, kind), *z = numbers(heads * width, kind);
    void *values = numbers(kv_heads * last * width, kind);
    op.q = q, op.keys = keys, op.values = values;
    op.parts = malloc(sizeof(float) * (size_t)(heads * chunks * (width + 2)));
    for (long piece = 0; piece < kv_heads * chunks; piece++)
        k->attend(&op, piece / chunks, piece % chunks);
    k->merge(&op, z, kind);
    for (long h = 0; h < heads; h++) {
        const long from = h / (heads / kv_heads) * last * width;
        double *sums = calloc((size_t)width, sizeof *sums), total = 0;
        for (long p = first; p < last; p++) {
            double score = 0;
            for (long i = 0; i < width; i++)
                score += q[h * width + i] * at(keys, from + p * width + i, kind);
            total += exp(score);
            for (long i = 0; i < width; i++)
                sums[i] += exp(score) * at(values, from + p * width + i, kind);
        }
        for (long i = 0; i < width; i++)
            expect("attention", k->name, at(z, h * width + i, kind), sums[i] / total, bound(kind));
        free(sums);
    }
    free(q), free(keys), free(values), free(z), free(op.parts);
}

static void check_crowd(const Kernels *k, long n, long group, long width, long position,
                        long window, Kind kind)
{
    const long heads = 2 * group, end = position + n;
    const Kind of = k->pairs && width % 2 == 0 ? kind : F32;
    void *q = numbers(n * heads * width, of), *keys = numbers(end * width, of);
    void *values = numbers(end * width, of);
    float *room;
    void *z = numbers(n * heads * width, kind);
    room = malloc(sizeof(float) * (size_t)crowd_room(n * group, width));
    Crowd op = {n, group, heads, width, position, window, q, keys, values, z, of, kind, 0};
    k->attend_crowd(&op, room);
    for (long i = 0; i < n; i++)
        for (long h = 0; h < group; h++) {
            const long query = (i * heads + h) * width;
            double *sums = calloc((size_t)width, sizeof *sums), total = 0;
            const long last = position + i + 1;
            for (long p = window && last > window ? last - window : 0; p < last; p++) {
                double score = 0;
                for (long d = 0; d < width; d++)
                    score += (double)at(q, query + d, of) * at(keys, p * width + d, of);
                total += exp(score);
                for (long d = 0; d < width; d++)
                    sums[d] += exp(score) * at(values, p * width + d, of);
            }
            for (long d = 0; d < width; d++)
                expect("crowd", k->name, at(z, (i * heads + h) * width + d, kind), sums[d] / total,
                       bound(kind));
            free(sums);
        }
    free(q), free(keys), free(values), free(z), free(room);
}

static void add_chunk(void *context, long chunk) { ((long *)context)[chunk]++; }

static void check_pool(void)
{
    for (int threads = 1; threads <= 4; threads++) {
        pool_resize(threads);
        for (int turn = 0; turn < 2000; turn++) {
            long done[7] = {0};
            const long n = turn % 8;
            pool_run(add_chunk, done, n);
            for (long i = 0; i < 7; i++)
                expect("each chunk once", "pool", (double)done[i], i < n, 0);
        }
    }
    pool_resize(1);
}

int main(void)
{
    const Kernels *tables[] = {&kernels_baseline, &kernels_avx2, &kernels_avx512,
                               &kernels_avx512_bf16};
    const long widths[] = {1, 7, 16, 31, 32, 33, 64, 130};
    check_pool();
    for (int t = 0; t < 4; t++)
        for (int kind = F32; kind <= BF16; kind++) {
            for (int i = 0; i < 8; i++) {
                check_dense(tables[t], 1 + i % 3, widths[i], widths[7 - i], (Kind)kind);
                check_dense(tables[t], 9 + 3 * i, widths[i], widths[7 - i], (Kind)kind);
                check_packed(tables[t], 1 + i % 3, widths[i], widths[7 - i], 4, (Kind)kind);
                check_packed(tables[t], 9 + 3 * i, widths[i], widths[7 - i], 8, (Kind)kind);
                check_packed(tables[t], 9 + i, widths[i], widths[7 - i], 4, (Kind)kind);
                check_rows(tables[t], 3, widths[i], (Kind)kind);
            }
            check_attention(tables[t], 9, 3, 64, 0, 300, (Kind)kind);
            check_attention(tables[t], 20, 1, 7, 5, 6, (Kind)kind);
            check_attention(tables[t], 2, 2, 512, 1, 131, (Kind)kind);
            check_crowd(tables[t], 13, 3, 64, 0, 0, (Kind)kind);
            check_crowd(tables[t], 40, 1, 7, 250, 60, (Kind)kind);
            check_crowd(tables[t], 1, 20, 80, 127, 300, (Kind)kind);
        }
    printf(failures ? "%d failures\n" : "all kernels agree\n", failures);
    return failures != 0;
}
