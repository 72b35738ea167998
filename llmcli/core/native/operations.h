/* An operation as it is asked for, and running it on all threads. */
#ifndef LLMCLI_OPERATIONS_H
#define LLMCLI_OPERATIONS_H

#include "kernels.h"

/* Where one layer's keys and values lie, (KV heads, capacity, width) each. */
typedef struct {
    char *keys, *values;
    int64_t capacity;
} Held;

/* What differs from token to token: the cache's memory, an entry per layer, and the position. */
typedef struct {
    const Held *held;
    long position;
} Moment;

/* Attention of n tokens, the first of which stands at the moment's position: rows of q (heads,
   width), k and v (kv_heads, width), not yet rotated; z (n, heads, width). */
typedef struct {
    const void *q, *k, *v;
    void *z;
    Kind kind;
    long n, q_stride, k_stride, v_stride; /* numbers from one row to the next */
    long heads, kv_heads, width, rotated, layer, window; /* window 0: all positions are seen */
    const float *cos, *sin;                               /* (n, rotated) */
    float scale, softcap;
} Attention;

typedef struct {
    enum { DENSE, PACKED, ATTEND, NORM, ACTIVATE, ADD, GATHER, N_KINDS } kind;
    union {
        Dense dense;
        Packed packed;
        Attention attention;
        Norm norm;
        Activate activate;
        Add add;
        Gather gather;
    };
} Operation;

extern const Kernels *kernels; /* those in use */

/* Each returns 0 where memory ran out. */
int run(const Operation *operation, Moment moment);
int run_quantize(const Quantize *op);

#endif
