/* How an operation is cut into pieces for the threads, and the memory for what lies between. */
#include "operations.h"

#include "pool.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 512 << 10, ATTENTION_CHUNK = 128, QUERIES_PER_PIECE = 11 * MOST_QUERIES, ALIGNMENT = 64 };

const Kernels *kernels;

/* Memory for intermediate results, kept from call to call: one operation runs at a time. */
static void *scratch(int slot, size_t bytes)
{
    static void *held[4];
    static size_t sizes[4];
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

/* Few rows: long pieces, as memory is read fastest straight on, and as many for one thread as for
   the other. */
static Share shared(const void *op, long total, long each_bytes)
{
    const long threads = pool_size(), together = threads * PIECE_BYTES;
    const long pieces = (total * each_bytes + together - 1) / together * threads;
    return (Share){op, (total + pieces - 1) / pieces, total};
}

/* Many rows: a piece is a panel of outputs for some rows of x. */
enum { ROWS_PER_PIECE = 512 };

typedef struct {
    const void *op;
    long n;      /* rows of x */
    long blocks; /* of rows of x */
    size_t room; /* bytes, for each thread */
    char *rooms;
} Product;

static long last_row(const Product *p, long piece)
{
    const long last = (piece % p->blocks + 1) * ROWS_PER_PIECE;
    return last < p->n ? last : p->n;
}

static void dense_piece(void *context, long piece)
{
    const Product *p = context;
    kernels->multiply(p->op, piece / p->blocks, piece % p->blocks * ROWS_PER_PIECE,
                      last_row(p, piece), (float *)(p->rooms + (size_t)pool_thread() * p->room));
}

static void packed_piece(void *context, long piece)
{
    const Product *p = context;
    kernels->multiply_packed(p->op, piece / p->blocks, piece % p->blocks * ROWS_PER_PIECE,
                             last_row(p, piece), p->rooms + (size_t)pool_thread() * p->room);
}

/* `columns`: numbers of 4 bytes that a panel takes for each output row. */
static int run_product(Task piece, const void *op, long n, long out, long columns)
{
    Product p = {op, n, (n + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE, 0, 0};
    p.room = (size_t)(columns * kernels->panel) * sizeof(float);
    p.rooms = scratch(3, p.room * (size_t)pool_size());
    if (!p.rooms)
        return 0;
    pool_run(piece, &p, (out + kernels->panel - 1) / kernels->panel * p.blocks);
    return 1;
}

static void dense_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->dense(share->op, chunk * share->size, end_of(share, chunk));
}

/* Rows of x that are made ready at a time. */
enum { ROWS_AT_A_TIME = 16 };

static long pieces_of(long rows) { return (rows + ROWS_AT_A_TIME - 1) / ROWS_AT_A_TIME; }

static long rows_of(long rows, long piece)
{
    const long rest = rows - piece * ROWS_AT_A_TIME;
    return rest < ROWS_AT_A_TIME ? rest : ROWS_AT_A_TIME;
}

static void dense_prepare_piece(void *context, long piece)
{
    const Dense *op = context;
    const long first = piece * ROWS_AT_A_TIME;
    kernels->dense_prepare(op, first, first + rows_of(op->n, piece));
}

static int run_dense(Dense op)
{
    op.wide = scratch(0, sizeof(float) * (size_t)(op.n * op.in));
    if (!op.wide)
        return 0;
    pool_run(dense_prepare_piece, &op, pieces_of(op.n));
    if (op.n > FEW_ROWS)
        return run_product(dense_piece, &op, op.n, op.out, op.in);
    const Share share = shared(&op, op.out, op.in * (op.w_kind == F32 ? 4 : 2));
    pool_run(dense_chunk, (void *)&share, chunks_of(&share));
    return 1;
}

static void packed_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->packed(share->op, chunk * share->size, end_of(share, chunk));
}

static void packed_prepare_piece(void *context, long piece)
{
    const Packed *op = context;
    const long first = piece * ROWS_AT_A_TIME;
    kernels->packed_prepare(op, first, first + rows_of(op->n, piece));
}

static int run_packed(Packed op)
{
    const long columns = (op.in + GROUP - 1) / GROUP * GROUP;
    const size_t groups = (size_t)(op.n * columns / GROUP);
    op.steps = scratch(0, groups * GROUP * sizeof *op.steps);
    op.step = scratch(1, groups * sizeof *op.step);
    op.sums = scratch(2, groups * sizeof *op.sums);
    if (!op.steps || !op.step || !op.sums)
        return 0;
    pool_run(packed_prepare_piece, &op, pieces_of(op.n));
    if (op.n > FEW_ROWS)
        return run_product(packed_piece, &op, op.n, op.out, columns / 2 + columns / GROUP);
    const Share share = shared(&op, (op.out + TILE - 1) / TILE, op.in * TILE * op.bits / 8);
    pool_run(packed_chunk, (void *)&share, chunks_of(&share));
    return 1;
}

typedef struct {
    const Attention *a;
    const Held *held;
    long position, chunks, rows; /* rows: of one piece */
    Kind kind;                 /* of q, and of the keys and values to attend to */
    char *q;                   /* (n, heads, width), rotated and scaled */
    const void *keys, *values; /* those to attend to: the cache's, or a copy in fp32 */
    long stride; /* numbers from one head's keys to the next one's */
    float *rooms;
    long room; /* numbers, for each thread */
    float *wide;
    Attend one; /* where there is one token */
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
    for (long head = 0; head < a->heads; head++) {
        kernels->rotate(q + head * width * size, a->kind, width, a->rotated, cos, sin, a->scale, room);
        kernels->narrow(room, width, p->q + (row * a->heads + head) * width * bytes(p->kind), p->kind);
    }
    for (long head = 0; head < a->kv_heads; head++) {
        const long at = (head * stride + (p->position + row) * width) * size;
        kernels->rotate(k + head * width * size, a->kind, width, a->rotated, cos, sin, 1.0f, room);
        kernels->narrow(room, width, p->held->keys + at, a->kind);
        memcpy(p->held->values + at, v + head * width * size, (size_t)(width * size));
    }
}

/* One token: the chunks of every KV head are pieces of their own. */
static void attend_chunk(void *context, long piece)
{
    const Pass *p = context;
    kernels->attend(&p->one, piece / p->chunks, piece % p->chunks);
}

/* Many tokens: a piece is some of them and a KV head; the last tokens, which see most, come first. */
static void attend_rows(void *context, long piece)
{
    const Pass *p = context;
    const Attention *a = p->a;
    const long group = a->heads / a->kv_heads, kv_head = piece % a->kv_heads;
    const long row = ((a->n - 1) / p->rows - piece / a->kv_heads) * p->rows;
    const long head = row * a->heads + kv_head * group, each = bytes(p->kind);
    const Crowd crowd = {.n = row + p->rows < a->n ? p->rows : a->n - row, .group = group,
                         .heads = a->heads, .width = a->width, .position = p->position + row,
                         .window = a->window, .q = p->q + head * a->width * each,
                         .keys = (const char *)p->keys + kv_head * p->stride * each,
                         .values = (const char *)p->values + kv_head * p->stride * each,
                         .z = (char *)a->z + head * a->width * bytes(a->kind),
                         .kind = p->kind, .z_kind = a->kind, .softcap = a->softcap};
    kernels->attend_crowd(&crowd, p->rooms + pool_thread() * p->room);
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
    const int pairs = a->n > 1 && a->kind == BF16 && kernels->pairs && width % 2 == 0;
    Pass p = {.a = a, .held = held, .position = moment.position, .kind = pairs ? BF16 : F32,
              .keys = held->keys, .values = held->values, .stride = held->capacity * width};
    const long group = a->heads / a->kv_heads;
    p.rows = (QUERIES_PER_PIECE + group - 1) / group;
    p.room = a->n == 1 ? width : crowd_room(p.rows * group, width);
    p.q = scratch(0, sizeof(float) * (size_t)(a->n * a->heads * width));
    p.rooms = scratch(1, sizeof(float) * (size_t)(p.room * pool_size()));
    if (!p.q || !p.rooms)
        return 0;
    if (a->n == 1) {
        enter_row(&p, 0);
        const long unseen = a->window ? end - a->window : 0;
        p.one = (Attend){.heads = a->heads, .kv_heads = a->kv_heads, .width = width,
                         .first = unseen > 0 ? unseen : 0, .last = end, .chunk = ATTENTION_CHUNK,
                         .stride = p.stride, .keys = p.keys, .values = p.values, .kind = a->kind,
                         .q = (const float *)p.q, .softcap = a->softcap};
        p.chunks = (end - p.one.first + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
        p.one.parts = scratch(2, sizeof(float) * (size_t)(a->heads * p.chunks * (width + 2)));
        if (!p.one.parts)
            return 0;
        pool_run(attend_chunk, &p, a->kv_heads * p.chunks);
        kernels->merge(&p.one, a->z, a->kind);
        return 1;
    }
    pool_run(enter_row, &p, a->n);
    if (a->kind != p.kind) {
        p.stride = end * width;
        p.wide = scratch(2, sizeof(float) * (size_t)(2 * a->kv_heads * p.stride));
        if (!p.wide)
            return 0;
        pool_run(widen_head, &p, 2 * a->kv_heads);
        p.keys = p.wide, p.values = p.wide + a->kv_heads * p.stride;
    }
    pool_run(attend_rows, &p, (a->n + p.rows - 1) / p.rows * a->kv_heads);
    return 1;
}

/* Norms and activations of many rows: a piece is some of them. */
static void norm_piece(void *context, long piece)
{
    Norm part = *(const Norm *)context;
    const long first = piece * ROWS_AT_A_TIME;
    const long skipped = first * part.width * bytes(part.kind);
    part.x = (const char *)part.x + skipped, part.y = (char *)part.y + skipped;
    part.n = rows_of(part.n, piece);
    kernels->norm(&part);
}

static void activate_piece(void *context, long piece)
{
    Activate part = *(const Activate *)context;
    const long first = piece * ROWS_AT_A_TIME;
    const long skipped = first * part.width * bytes(part.kind);
    part.x = (const char *)part.x + skipped * (part.gated ? 2 : 1), part.y = (char *)part.y + skipped;
    part.n = rows_of(part.n, piece);
    kernels->activate(&part);
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
        pool_run(norm_piece, (void *)&o->norm, pieces_of(o->norm.n));
        return 1;
    case ACTIVATE:
        pool_run(activate_piece, (void *)&o->activate, pieces_of(o->activate.n));
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
