/* How an operation is cut into pieces for the threads, and the memory for what lies between. */
#include "operations.h"

#include "pool.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 512 << 10, ALIGNMENT = 64 };

const Kernels *kernels;

void *scratch(int slot, size_t bytes)
{
    static void *held[SLOTS];
    static size_t sizes[SLOTS];
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
    op.ahead = pool_size();
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

/* Norms and activations of many rows: a piece is some of them. */
static void norm_piece(void *context, long piece)
{
    Norm part = *(const Norm *)context;
    const long first = piece * ROWS_AT_A_TIME;
    const long skipped = first * part.width * size_of(part.kind);
    part.x = (const char *)part.x + skipped, part.y = (char *)part.y + skipped;
    part.n = rows_of(part.n, piece);
    kernels->norm(&part);
}

static void activate_piece(void *context, long piece)
{
    Activate part = *(const Activate *)context;
    const long first = piece * ROWS_AT_A_TIME;
    const long skipped = first * part.width * size_of(part.kind);
    part.x = (const char *)part.x + skipped * (part.gated ? 2 : 1), part.y = (char *)part.y + skipped;
    part.n = rows_of(part.n, piece);
    kernels->activate(&part);
}

static void run_embed(const Embed *op, long row)
{
    const char *from = (const char *)op->table + row * op->width * size_of(op->kind);
    if (op->matrix.bits)
        kernels->unpack(&op->matrix, row, row + 1, op->y, op->y_kind);
    else if (op->kind == op->y_kind)
        memcpy(op->y, from, (size_t)(op->width * size_of(op->kind)));
    else if (op->y_kind == F32)
        kernels->widen(from, op->width, op->kind, op->y);
    else
        kernels->narrow((const float *)from, op->width, op->y, op->y_kind);
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
    case EMBED:
        run_embed(&o->embed, o->embed.by_position ? moment.position : moment.token);
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
