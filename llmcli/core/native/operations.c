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

static void dense_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->dense(share->op, chunk * share->size, end_of(share, chunk));
}

static int run_dense(Dense op)
{
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
    Attend op;
    long chunks;
} Pieces;

static void attend_piece(void *context, long piece)
{
    const Pieces *pieces = context;
    kernels->attend(&pieces->op, piece / pieces->chunks, piece % pieces->chunks);
}

/* Rotate q and k, write k and v to the cache, attend to what the query sees. */
static int run_attention(const Attention *a, Moment moment)
{
    const Held *held = moment.held + a->layer;
    const long width = a->width, stride = held->capacity * width, size = a->kind == F32 ? 4 : 2;
    const long position = moment.position, unseen = a->window ? position + 1 - a->window : 0;
    float *q = scratch(0, sizeof(float) * (size_t)(a->heads * width));
    float *k = scratch(1, sizeof(float) * (size_t)width);
    if (!q || !k)
        return 0;
    for (long head = 0; head < a->heads; head++)
        kernels->rotate((const char *)a->q + head * width * size, a->kind, width, a->rotated,
                        a->cos, a->sin, a->scale, q + head * width);
    for (long head = 0; head < a->kv_heads; head++) {
        const long at = (head * stride + position * width) * size;
        kernels->rotate((const char *)a->k + head * width * size, a->kind, width, a->rotated,
                        a->cos, a->sin, 1.0f, k);
        kernels->narrow(k, width, held->keys + at, a->kind);
        memcpy(held->values + at, (const char *)a->v + head * width * size, (size_t)(width * size));
    }
    Pieces pieces = {.op = {.heads = a->heads, .kv_heads = a->kv_heads, .width = width,
                            .first = unseen > 0 ? unseen : 0, .last = position + 1,
                            .chunk = ATTENTION_CHUNK, .stride = stride, .keys = held->keys,
                            .values = held->values, .kind = a->kind, .q = q,
                            .softcap = a->softcap}};
    Attend *op = &pieces.op;
    pieces.chunks = (op->last - op->first + op->chunk - 1) / op->chunk;
    op->parts = scratch(2, sizeof(float) * (size_t)(a->heads * pieces.chunks * (width + 2)));
    if (!op->parts)
        return 0;
    pool_run(attend_piece, &pieces, a->kv_heads * pieces.chunks);
    kernels->merge(op, a->z, a->kind);
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
