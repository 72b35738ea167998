/* Attention as a whole: rotation, the cache, and the pieces for the threads. */
#include "operations.h"

#include "pool.h"

#include <string.h>

enum { ATTENTION_CHUNK = 128, QUERIES_PER_PIECE = 11 * MOST_QUERIES };

typedef struct {
    const Attention *a;
    const Held *held;
    long position, chunks, rows; /* rows: of one piece */
    Kind kind;                   /* of q, and of the keys and values where there are many tokens */
    char *q;                     /* (n, heads, width), rotated and scaled */
    const void *keys, *values;   /* those to attend to: the cache's, or a copy in fp32 */
    long stride; /* numbers from one head's keys to the next one's */
    float *rooms;
    long room; /* numbers, for each thread */
    float *wide;
    Attend one; /* where there is one token */
} Pass;

/* Rotates row `row` of q and k, and writes k and v to the cache. */
static void enter_row(void *context, long row)
{
    const Pass *p = context;
    const Attention *a = p->a;
    const long width = a->width, size = size_of(a->kind), stride = p->held->capacity * width;
    const long turns = (p->position + row) * a->rotated;
    const float *cos = a->cos + turns, *sin = a->sin + turns;
    const char *q = (const char *)a->q + row * a->q_stride * size;
    const char *k = (const char *)a->k + row * a->k_stride * size;
    const char *v = (const char *)a->v + row * a->v_stride * size;
    float *room = p->rooms + pool_thread() * p->room;
    for (long head = 0; head < a->heads; head++) {
        kernels->rotate(q + head * width * size, a->kind, width, a->rotated, cos, sin, a->scale, room);
        kernels->narrow(room, width, p->q + (row * a->heads + head) * width * size_of(p->kind), p->kind);
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
    const long head = row * a->heads + kv_head * group, each = size_of(p->kind);
    const Crowd crowd = {.n = row + p->rows < a->n ? p->rows : a->n - row, .group = group,
                         .heads = a->heads, .width = a->width, .position = p->position + row,
                         .window = a->window, .q = p->q + head * a->width * each,
                         .keys = (const char *)p->keys + kv_head * p->stride * each,
                         .values = (const char *)p->values + kv_head * p->stride * each,
                         .z = (char *)a->z + head * a->width * size_of(a->kind),
                         .kind = p->kind, .z_kind = a->kind, .softcap = a->softcap};
    kernels->attend_crowd(&crowd, p->rooms + pool_thread() * p->room);
}

static void widen_head(void *context, long piece)
{
    const Pass *p = context;
    const long kv_heads = p->a->kv_heads, head = piece % kv_heads, n = p->stride;
    const char *from = piece < kv_heads ? p->held->keys : p->held->values;
    kernels->widen(from + head * p->held->capacity * p->a->width * size_of(p->a->kind), n,
                   p->a->kind, p->wide + piece * n);
}

/* Rotate q and k, write k and v to the cache, attend to what each token sees. */
int run_attention(const Attention *a, Moment moment)
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
