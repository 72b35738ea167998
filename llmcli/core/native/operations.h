/* An operation as it is asked for, and running it on all threads. */
#ifndef LLMCLI_OPERATIONS_H
#define LLMCLI_OPERATIONS_H

#include "kernels.h"

#include <stddef.h>

/* Where one layer's keys and values lie, (KV heads, capacity, width) each. */
typedef struct {
    char *keys, *values;
    int64_t capacity;
} Held;

/* What differs from token to token: the cache's memory, an entry per layer, the position, and the
   token at it. */
typedef struct {
    const Held *held;
    long position, token;
} Moment;

/* y (width) = a row of a table, plain or packed: that of the token, or of the position. */
typedef struct {
    Packed matrix; /* bits 0: the table is plain */
    const void *table;
    long width, by_position;
    void *y;
    Kind kind, y_kind;
} Embed;

/* Attention of n tokens, the first of which stands at the moment's position: rows of q (heads,
   width), k and v (kv_heads, width), not yet rotated; z (n, heads, width). */
typedef struct {
    const void *q, *k, *v;
    void *z;
    Kind kind;
    long n, q_stride, k_stride, v_stride; /* numbers from one row to the next */
    long heads, kv_heads, width, rotated, layer, window; /* window 0: all positions are seen */
    const float *cos, *sin; /* (positions, rotated), from position 0 on */
    float scale, softcap;
} Attention;

typedef struct {
    enum { DENSE, PACKED, ATTEND, NORM, ACTIVATE, ADD, GATHER, EMBED, N_KINDS } kind;
    union {
        Dense dense;
        Packed packed;
        Attention attention;
        Norm norm;
        Activate activate;
        Add add;
        Gather gather;
        Embed embed;
    };
} Operation;

extern const Kernels *kernels; /* those in use */

/* Each returns 0 where memory ran out. */
int run(const Operation *operation, Moment moment);
int run_attention(const Attention *a, Moment moment);
int run_quantize(const Quantize *op);

/* Memory for intermediate results, kept from call to call: one operation runs at a time. */
enum { SLOTS = 4 };
void *scratch(int slot, size_t bytes);

#endif
