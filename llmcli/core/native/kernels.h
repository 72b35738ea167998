/* The operations of one token's pass, each written once and compiled for several instruction sets.

   Numbers are fp32 or bf16; sums are kept in fp32. Everything is row-major and nothing need be
   aligned. A kernel works on part of an operation, so that threads can share it. */
#ifndef LLMCLI_KERNELS_H
#define LLMCLI_KERNELS_H

#include <stdint.h>

typedef enum { F32, BF16 } Kind;
static inline long size_of(Kind kind) { return kind == F32 ? 4 : 2; }

typedef enum { SILU, GELU_TANH, RELU } Activation;

/* Packed matrices: tiles of 16 output rows; columns in groups of 32, each a scale of the input. */
enum { TILE = 16, GROUP = 32 };

/* Rows of x up to which reading W costs more than computing with it. */
enum { FEW_ROWS = 8 };

/* y = x W^T + bias: x (n, in), y (n, out), W (out, in), bias (out) or null. */
typedef struct {
    long n, in, out; /* n above FEW_ROWS: multiply is to be run, else dense */
    const void *x, *w, *bias;
    void *y;
    Kind x_kind, w_kind, bias_kind, y_kind;
    float *wide; /* room for x in fp32, as dense_prepare lays it */
    long ahead;  /* from a panel to the next one of the same thread */
} Dense;

/* The same with W = (code - zero) * scale. The layout is described in packed.h. */
typedef struct {
    long n, in, out, bits, group; /* group: columns of W that share a scale; a multiple of GROUP */
    const void *x, *bias;
    const uint8_t *codes, *zeros; /* zeros null: the middle of the range */
    const uint16_t *scales;       /* fp16 */
    void *y;
    Kind x_kind, bias_kind, y_kind;
    int16_t *steps; /* room for x = steps * step, by packed_prepare */
    float *step;
    int32_t *sums; /* of the steps of each group */
} Packed;

/* W (out, in) rounded to codes and scales in the layout of Packed; group divides the columns. */
typedef struct {
    long in, out, bits, group;
    const void *w;
    Kind kind;
    uint32_t *codes;
    uint16_t *scales;
} Quantize;

/* Rows of `width` numbers: y = x / rms(x) * weight, or (x - mean) / sd * weight + bias. */
typedef struct {
    long n, width;
    const void *x;
    void *y;
    Kind kind;
    const float *weight, *bias; /* bias null: RMSNorm */
    float eps;
} Norm;

/* y (n, width) = act(gate) * up, from rows of gate and up side by side; ungated: act(x). */
typedef struct {
    long n, width;
    const void *x;
    void *y;
    Kind kind;
    Activation activation;
    int gated;
} Activate;

/* y = x + scale * added; x null: scale * added. */
typedef struct {
    long n;
    const void *x, *added;
    void *y;
    Kind kind;
    float scale;
} Add;

/* Rows of `width` numbers: y[i] = x[order[i]] */
typedef struct {
    long n, width;
    const void *x;
    const int32_t *order;
    void *y;
    Kind kind;
} Gather;

/* Of n numbers the largest, where it first stands, and ln(sum(e^x)); NaN where one is. */
typedef struct {
    long index;
    float top;
    double log_total;
} Survey;

/* One query per head over the keys and values of positions first .. last - 1. */
typedef struct {
    long heads, kv_heads, width, first, last;
    long chunk;  /* positions per piece of work */
    long stride; /* numbers from one head's keys to the next one's */
    const void *keys, *values;
    Kind kind;
    const float *q; /* (heads, width), rotated and scaled */
    float softcap;  /* 0: none */
    float *parts;   /* per head and chunk: largest score, sum of weights, weighted sum of values */
} Attend;

/* n tokens from `position` on, of one KV head: `group` query heads each, of `heads` side by side. */
typedef struct {
    long n, group, heads, width, position, window; /* window 0: all positions are seen */
    const void *q, *keys, *values;
    void *z;
    Kind kind, z_kind; /* kind: of q, keys and values; bf16 where the kernels have `pairs` */
    float softcap;
} Crowd;

/* Positions, and queries, that attend_crowd takes at a time. */
enum { CROWD_CHUNK = 192, MOST_QUERIES = 12 };

/* Numbers of memory that attend_crowd works in. */
static inline long crowd_room(long n_queries, long width)
{
    return 2 * width * CROWD_CHUNK + MOST_QUERIES * CROWD_CHUNK + n_queries * (width + 2);
}

typedef struct {
    const char *name;
    long panel; /* output rows that the kernels for many rows of x take at a time */
    int pairs;  /* whether attend_crowd takes bf16, of even width */
    void (*dense_prepare)(const Dense *op, long first_row, long last_row);
    void (*dense)(const Dense *op, long first, long last);
    void (*multiply)(const Dense *op, long panel, long first, long last, float *room);
    void (*packed_prepare)(const Packed *op, long first_row, long last_row);
    void (*packed)(const Packed *op, long first_tile, long last_tile);
    void (*multiply_packed)(const Packed *op, long panel, long first, long last, void *room);
    void (*unpack)(const Packed *op, long first_row, long last_row, void *to, Kind kind);
    void (*quantize)(const Quantize *op, long first_tile, long last_tile, void *room);
    void (*norm)(const Norm *op);
    void (*activate)(const Activate *op);
    void (*add)(const Add *op);
    void (*gather)(const Gather *op);
    Survey (*survey)(const float *x, long n);
    void (*rotate)(const void *x, Kind kind, long width, long rotated, const float *cos,
                   const float *sin, float scale, float *to);
    void (*narrow)(const float *x, long n, void *to, Kind kind);
    void (*widen)(const void *x, long n, Kind kind, float *to);
    void (*attend)(const Attend *op, long kv_head, long chunk);
    void (*attend_crowd)(const Crowd *op, float *room);
    void (*merge)(const Attend *op, void *z, Kind kind);
} Kernels;

extern const Kernels kernels_baseline, kernels_avx2, kernels_avx512, kernels_avx512_bf16;

#endif
