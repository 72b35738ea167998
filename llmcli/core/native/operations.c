/* How an operation is cut into pieces for the threads, and the memory for what lies between. */
#include "operations.h"

#include "pool.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 32 << 10, ROWS_AT_ONCE = 4, ATTENTION_CHUNK = 128, ALIGNMENT = 64 };

const Kernels *kernels;

/* Memory for intermediate results, kept from call to call: one operation runs at a time. */
static void *scratch(int slot, size_t bytes)
{
    static void *held[3];
    static size_t sizes[3];
    if (bytes > sizes[slot]) {
        void *more = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        if (!more)
            return 0;
        free(held[slot]);
        held[slot] = more, sizes[slot] = bytes;
    }
    return held[slot];
}

typedef struct {
    const void *op;
    long size, total; /* outputs per chunk, and in all */
} Share;

static long chunks_of(const Share *share) { return (share->total + share->size - 1) / share->size; }

static long end_of(const Share *share, long chunk)
{
    const long end = (chunk + 1) * share->size;
    return end < share->total ? end : share->total;
}

/* Many rows: a piece is a panel of outputs for some rows of x. */
enum { ROWS_PER_PIECE = 512 };

typedef struct {
    const Dense *op;
    const Packed *packed;
    long blocks; /* of rows of x */
    long room;   /* numbers, for each thread */
    float *rooms;
} Product;

static void product_piece(void *context, long piece)
{
    const Product *p = context;
    const long first = piece % p->blocks * ROWS_PER_PIECE, last = first + ROWS_PER_PIECE;
    kernels->multiply(p->op, p->packed, piece / p->blocks, first,
                      last < p->op->n ? last : p->op->n, p->rooms + pool_thread() * p->room);
}

static int run_product(Dense op, const Packed *packed)
{
    float *wide = scratch(0, sizeof(float) * (size_t)(op.n * op.in));
    if (!wide)
        return 0;
    kernels->dense_prepare(&op, wide);
    op.wide = wide;
    Product p = {&op, packed, (op.n + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE, 0, 0};
    p.room = op.in * kernels->panel;
    p.rooms = scratch(1, sizeof(float) * (size_t)(p.room * pool_size()));
    if (!p.rooms)
        return 0;
    pool_run(product_piece, &p, (op.out + kernels->panel - 1) / kernels->panel * p.blocks);
    return 1;
}

static void dense_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->dense(share->op, chunk * share->size, end_of(share, chunk));
}

static int run_dense(Dense op)
{
    if (op.n > FEW_ROWS)
        return run_product(op, 0);
    float *wide = scratch(0, sizeof(float) * (size_t)(op.n * op.in));
    if (!wide)
        return 0;
    kernels->dense_prepare(&op, wide);
    op.wide = wide;
    const long row_bytes = op.in * (op.w_kind == F32 ? 4 : 2);
    const long rows = (CHUNK_BYTES / row_bytes + ROWS_AT_ONCE) / ROWS_AT_ONCE * ROWS_AT_ONCE;
    Share share = {&op, rows, op.out};
    pool_run(dense_chunk, &share, chunks_of(&share));
    return 1;
}

static void packed_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->packed(share->op, chunk * share->size, end_of(share, chunk));
}

static int run_packed(Packed op)
{
    if (op.n > FEW_ROWS) {
        const Dense plain = {.n = op.n, .in = op.in, .out = op.out, .x = op.x, .bias = op.bias,
                             .y = op.y, .x_kind = op.x_kind, .bias_kind = op.bias_kind,
                             .y_kind = op.y_kind};
        return run_product(plain, &op);
    }
    const size_t groups = (size_t)(op.n * ((op.in + GROUP - 1) / GROUP));
    int16_t *steps = scratch(0, groups * GROUP * sizeof *steps);
    float *step = scratch(1, groups * sizeof *step);
    int32_t *sums = scratch(2, groups * sizeof *sums);
    if (!steps || !step || !sums)
        return 0;
    kernels->packed_prepare(&op, steps, step, sums);
    op.steps = steps, op.step = step, op.sums = sums;
    const long tile_bytes = op.in * TILE * op.bits / 8;
    Share share = {&op, CHUNK_BYTES / tile_bytes + 1, (op.out + TILE - 1) / TILE};
    pool_run(packed_chunk, &share, chunks_of(&share));
    return 1;
}

typedef struct {
    const Attention *a;
    const Held *held;
    long position, chunks;
    float *q;                  /* (n, heads, width), rotated and scaled */
    const void *keys, *values; /* those to attend to: the cache's, or a copy in fp32 */
    Kind kind;
    long stride; /* numbers from one head's keys to the next one's */
    float *rooms;
    long room; /* numbers, for each thread */
    float *wide;
} Pass;

static long bytes(Kind kind) { return kind == F32 ? 4 : 2; }

/* Rotates row `row` of q and k, and writes k and v to the cache. */
static void enter_row(void *context, long row)
{
    const Pass *p = context;
    const Attention *a = p->a;
    const long width = a->width, size = bytes(a->kind), stride = p->held->capacity * width;
    const float *cos = a->cos + row * a->rotated, *sin = a->sin + row * a->rotated;
    const char *q = (const char *)a->q + row * a->q_stride * size;
    const char *k = (const char *)a->k + row * a->k_stride * size;
    const char *v = (const char *)a->v + row * a->v_stride * size;
    float *room = p->rooms + pool_thread() * p->room;
    for (long head = 0; head < a->heads; head++)
        kernels->rotate(q + head * width * size, a->kind, width, a->rotated, cos, sin, a->scale,
                        p->q + (row * a->heads + head) * width);
    for (long head = 0; head < a->kv_heads; head++) {
        const long at = (head * stride + (p->position + row) * width) * size;
        kernels->rotate(k + head * width * size, a->kind, width, a->rotated, cos, sin, 1.0f, room);
        kernels->narrow(room, width, p->held->keys + at, a->kind);
        memcpy(p->held->values + at, v + head * width * size, (size_t)(width * size));
    }
}

/* What row `row` sees of one KV head, or of all of them. */
static Attend seen_by(const Pass *p, long row, long kv_head, long kv_heads)
{
    const Attention *a = p->a;
    const long last = p->position + row + 1, unseen = a->window ? last - a->window : 0;
    const long group = a->heads / a->kv_heads, from = kv_head * p->stride * bytes(p->kind);
    return (Attend){.heads = group * kv_heads, .kv_heads = kv_heads, .width = a->width,
                    .first = unseen > 0 ? unseen : 0, .last = last, .chunk = ATTENTION_CHUNK,
                    .stride = p->stride, .keys = (const char *)p->keys + from,
                    .values = (const char *)p->values + from, .kind = p->kind,
                    .q = p->q + (row * a->heads + kv_head * group) * a->width,
                    .softcap = a->softcap};
}

static long chunks_of_sight(const Attend *op)
{
    return (op->last - op->first + op->chunk - 1) / op->chunk;
}

/* One token: the chunks of every KV head are pieces of their own. */
static void attend_chunk(void *context, long piece)
{
    const Pass *p = context;
    Attend op = seen_by(p, 0, 0, p->a->kv_heads);
    op.parts = p->wide;
    kernels->attend(&op, piece / p->chunks, piece % p->chunks);
}

/* Many tokens: a piece is some rows and a KV head, whose keys stay in the cache from row to row. */
enum { ROWS_OF_ATTENTION = 16 };

static void attend_rows(void *context, long piece)
{
    const Pass *p = context;
    const Attention *a = p->a;
    const long kv_head = piece % a->kv_heads, first = piece / a->kv_heads * ROWS_OF_ATTENTION;
    const long last = first + ROWS_OF_ATTENTION < a->n ? first + ROWS_OF_ATTENTION : a->n;
    float *room = p->rooms + pool_thread() * p->room;
    const long each = p->room / ROWS_OF_ATTENTION;
    Attend ops[ROWS_OF_ATTENTION];
    long most = 0;
    for (long row = first; row < last; row++) {
        Attend *op = ops + row - first;
        *op = seen_by(p, row, kv_head, 1);
        op->parts = room + (row - first) * each;
        most = chunks_of_sight(op) > most ? chunks_of_sight(op) : most;
    }
    for (long chunk = 0; chunk < most; chunk++)
        for (long row = first; row < last; row++)
            if (chunk < chunks_of_sight(ops + row - first))
                kernels->attend(ops + row - first, 0, chunk);
    const long group = a->heads / a->kv_heads;
    for (long row = first; row < last; row++)
        kernels->merge(ops + row - first,
                       (char *)a->z + (row * a->heads + kv_head * group) * a->width * bytes(a->kind),
                       a->kind);
}

static void widen_head(void *context, long piece)
{
    const Pass *p = context;
    const long kv_heads = p->a->kv_heads, head = piece % kv_heads, n = p->stride;
    const char *from = piece < kv_heads ? p->held->keys : p->held->values;
    kernels->widen(from + head * p->held->capacity * p->a->width * bytes(p->a->kind), n,
                   p->a->kind, p->wide + piece * n);
}

/* Rotate q and k, write k and v to the cache, attend to what each token sees. */
static int run_attention(const Attention *a, Moment moment)
{
    const Held *held = moment.held + a->layer;
    const long width = a->width, end = moment.position + a->n;
    Pass p = {.a = a, .held = held, .position = moment.position, .kind = a->kind,
              .keys = held->keys, .values = held->values, .stride = held->capacity * width};
    const long group = a->heads / a->kv_heads, chunks = end / ATTENTION_CHUNK + 2;
    p.room = ROWS_OF_ATTENTION * group * chunks * (width + 2);
    p.q = scratch(0, sizeof(float) * (size_t)(a->n * a->heads * width));
    p.rooms = scratch(1, sizeof(float) * (size_t)(p.room * pool_size()));
    if (!p.q || !p.rooms)
        return 0;
    if (a->n == 1) {
        enter_row(&p, 0);
        Attend op = seen_by(&p, 0, 0, a->kv_heads);
        p.chunks = chunks_of_sight(&op);
        op.parts = p.wide = scratch(2, sizeof(float) * (size_t)(a->heads * chunks * (width + 2)));
        if (!p.wide)
            return 0;
        pool_run(attend_chunk, &p, a->kv_heads * p.chunks);
        kernels->merge(&op, a->z, a->kind);
        return 1;
    }
    pool_run(enter_row, &p, a->n);
    if (a->kind != F32) {
        p.stride = end * width;
        p.wide = scratch(2, sizeof(float) * (size_t)(2 * a->kv_heads * p.stride));
        if (!p.wide)
            return 0;
        pool_run(widen_head, &p, 2 * a->kv_heads);
        p.keys = p.wide, p.values = p.wide + a->kv_heads * p.stride, p.kind = F32;
    }
    pool_run(attend_rows, &p, (a->n + ROWS_OF_ATTENTION - 1) / ROWS_OF_ATTENTION * a->kv_heads);
    return 1;
}

int run(const Operation *o, Moment moment)
{
    switch (o->kind) {
    case DENSE:
        return run_dense(o->dense);
    case PACKED:
        return run_packed(o->packed);
    case ATTEND:
        return run_attention(&o->attention, moment);
    case NORM:
        kernels->norm(&o->norm);
        return 1;
    case ACTIVATE:
        kernels->activate(&o->activate);
        return 1;
    case ADD:
        kernels->add(&o->add);
        return 1;
    case GATHER:
        kernels->gather(&o->gather);
        return 1;
    case N_KINDS:
        break;
    }
    return 1;
}

typedef struct {
    Share share;
    char *rooms; /* one per chunk: which thread works on which is not known */
    size_t room;
} Rounding;

static void quantize_chunk(void *context, long chunk)
{
    const Rounding *r = context;
    kernels->quantize(r->share.op, chunk * r->share.size, end_of(&r->share, chunk),
                      r->rooms + (size_t)chunk * r->room);
}

int run_quantize(const Quantize *op)
{
    enum { CHUNKS = 16 };
    const long tiles = (op->out + TILE - 1) / TILE;
    const size_t columns = (size_t)((op->in + GROUP - 1) / GROUP * GROUP);
    Rounding r = {{op, (tiles + CHUNKS - 1) / CHUNKS, tiles}, 0, columns * (4 + TILE)};
    r.rooms = malloc(CHUNKS * r.room);
    if (!r.rooms)
        return 0;
    pool_run(quantize_chunk, &r, chunks_of(&r.share));
    free(r.rooms);
    return 1;
}
