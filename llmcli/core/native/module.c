/* Python's way to the kernels: functions of whole numbers and addresses, no torch. Who calls them
   vouches for every address and size; `llmcli.core.ops` is the only one who does.

   Built on Python's stable ABI, so that one build serves every version. */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernels.h"
#include "pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 32 << 10, ROWS_AT_ONCE = 4, ATTENTION_CHUNK = 128, ALIGNMENT = 64 };

static const Kernels *kernels;

/* Memory for intermediate results, kept from call to call: one operation runs at a time. */
static void *scratch(int slot, size_t bytes)
{
    static void *held[4];
    static size_t sizes[4];
    if (bytes > sizes[slot]) {
        void *more = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        if (!more)
            return PyErr_NoMemory();
        free(held[slot]);
        held[slot] = more, sizes[slot] = bytes;
    }
    return held[slot];
}

/* The arguments: addresses and sizes first, real numbers last. Returns 0 and sets the error where
   there are not as many. */
static int read_arguments(PyObject *const *given, Py_ssize_t n, long long *whole, int n_whole,
                          double *real, int n_real)
{
    if (n != n_whole + n_real) {
        PyErr_Format(PyExc_TypeError, "%d arguments expected, not %zd", n_whole + n_real, n);
        return 0;
    }
    for (int i = 0; i < n_whole; i++)
        whole[i] = PyLong_AsLongLong(given[i]);
    for (int i = 0; i < n_real; i++)
        real[i] = PyFloat_AsDouble(given[n_whole + i]);
    return !PyErr_Occurred();
}

#define ADDRESS(x) ((void *)(uintptr_t)(x))

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

static PyObject *dense(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[11];
    if (!read_arguments(given, n, a, 11, 0, 0))
        return 0;
    Dense op = {.n = (long)a[0], .in = (long)a[1], .out = (long)a[2],
                .x = ADDRESS(a[3]), .x_kind = (Kind)a[4], .w = ADDRESS(a[5]), .w_kind = (Kind)a[6],
                .bias = ADDRESS(a[7]), .bias_kind = (Kind)a[8], .y = ADDRESS(a[9]),
                .y_kind = (Kind)a[10]};
    float *wide = scratch(0, sizeof(float) * (size_t)(op.n * op.in));
    if (!wide)
        return 0;
    kernels->dense_prepare(&op, wide);
    op.wide = wide;
    const long row_bytes = op.in * (op.w_kind == F32 ? 4 : 2);
    const long rows = (CHUNK_BYTES / row_bytes + ROWS_AT_ONCE) / ROWS_AT_ONCE * ROWS_AT_ONCE;
    Share share = {&op, rows, op.out};
    pool_run(dense_chunk, &share, chunks_of(&share));
    Py_RETURN_NONE;
}

static void packed_chunk(void *context, long chunk)
{
    const Share *share = context;
    kernels->packed(share->op, chunk * share->size, end_of(share, chunk));
}

static Packed packed_of(const long long *a)
{
    return (Packed){.in = (long)a[0], .out = (long)a[1], .bits = (long)a[2], .group = (long)a[3],
                    .codes = ADDRESS(a[4]), .zeros = ADDRESS(a[5]), .scales = ADDRESS(a[6])};
}

static PyObject *packed(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[14];
    if (!read_arguments(given, n, a, 14, 0, 0))
        return 0;
    Packed op = packed_of(a);
    op.n = (long)a[7];
    op.x = ADDRESS(a[8]), op.x_kind = (Kind)a[9], op.bias = ADDRESS(a[10]);
    op.bias_kind = (Kind)a[11], op.y = ADDRESS(a[12]), op.y_kind = (Kind)a[13];
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
    Py_RETURN_NONE;
}

/* Runs on the caller alone: it stands between products of another library, whose threads still
   wait for work at full speed. */
static PyObject *unpack(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[11];
    if (!read_arguments(given, n, a, 11, 0, 0))
        return 0;
    Packed op = packed_of(a);
    kernels->unpack(&op, (long)a[7], (long)a[8], ADDRESS(a[9]), (Kind)a[10]);
    Py_RETURN_NONE;
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

static PyObject *quantize(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    enum { CHUNKS = 16 };
    long long a[8];
    if (!read_arguments(given, n, a, 8, 0, 0))
        return 0;
    Quantize op = {.in = (long)a[0], .out = (long)a[1], .bits = (long)a[2], .group = (long)a[3],
                   .w = ADDRESS(a[4]), .kind = (Kind)a[5], .codes = ADDRESS(a[6]),
                   .scales = ADDRESS(a[7])};
    const long tiles = (op.out + TILE - 1) / TILE;
    const size_t columns = (size_t)((op.in + GROUP - 1) / GROUP * GROUP);
    Rounding r = {{&op, (tiles + CHUNKS - 1) / CHUNKS, tiles}, 0, columns * (4 + TILE)};
    r.rooms = malloc(CHUNKS * r.room);
    if (!r.rooms)
        return PyErr_NoMemory();
    pool_run(quantize_chunk, &r, chunks_of(&r.share));
    free(r.rooms);
    Py_RETURN_NONE;
}

static PyObject *norm(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[7];
    double eps;
    if (!read_arguments(given, n, a, 7, &eps, 1))
        return 0;
    Norm op = {.n = (long)a[0], .width = (long)a[1], .x = ADDRESS(a[2]), .y = ADDRESS(a[3]),
               .kind = (Kind)a[4], .weight = ADDRESS(a[5]), .bias = ADDRESS(a[6]),
               .eps = (float)eps};
    kernels->norm(&op);
    Py_RETURN_NONE;
}

static PyObject *activate(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[7];
    if (!read_arguments(given, n, a, 7, 0, 0))
        return 0;
    Activate op = {.n = (long)a[0], .width = (long)a[1], .x = ADDRESS(a[2]), .y = ADDRESS(a[3]),
                   .kind = (Kind)a[4], .activation = (Activation)a[5], .gated = (int)a[6]};
    kernels->activate(&op);
    Py_RETURN_NONE;
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

/* Rotate q and k, write k and v to the cache at `position`, attend to first .. position. */
static PyObject *attend(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[16];
    double real[2];
    if (!read_arguments(given, n, a, 16, real, 2))
        return 0;
    const Kind kind = (Kind)a[3];
    const long heads = (long)a[4], kv_heads = (long)a[5], width = (long)a[6];
    const float *cos = ADDRESS(a[7]), *sin = ADDRESS(a[8]);
    const long rotated = (long)a[9], stride = (long)a[12] * width, position = (long)a[13];
    char *keys = ADDRESS(a[10]), *values = ADDRESS(a[11]);
    const long size = kind == F32 ? 4 : 2;
    float *q = scratch(0, sizeof(float) * (size_t)(heads * width));
    float *k = scratch(1, sizeof(float) * (size_t)width);
    if (!q || !k)
        return 0;
    for (long head = 0; head < heads; head++)
        kernels->rotate((char *)ADDRESS(a[0]) + head * width * size, kind, width, rotated, cos,
                        sin, (float)real[0], q + head * width);
    for (long head = 0; head < kv_heads; head++) {
        const long at = (head * stride + position * width) * size;
        kernels->rotate((char *)ADDRESS(a[1]) + head * width * size, kind, width, rotated, cos,
                        sin, 1.0f, k);
        kernels->narrow(k, width, keys + at, kind);
        memcpy(values + at, (char *)ADDRESS(a[2]) + head * width * size, (size_t)(width * size));
    }
    Pieces pieces = {.op = {.heads = heads, .kv_heads = kv_heads, .width = width,
                            .first = (long)a[14], .last = position + 1, .chunk = ATTENTION_CHUNK,
                            .stride = stride, .keys = keys, .values = values, .kind = kind, .q = q,
                            .softcap = (float)real[1]}};
    Attend *op = &pieces.op;
    pieces.chunks = (op->last - op->first + op->chunk - 1) / op->chunk;
    op->parts = scratch(2, sizeof(float) * (size_t)(heads * pieces.chunks * (width + 2)));
    if (!op->parts)
        return 0;
    pool_run(attend_piece, &pieces, kv_heads * pieces.chunks);
    kernels->merge(op, ADDRESS(a[15]), kind);
    Py_RETURN_NONE;
}

static const Kernels *runnable(int index)
{
    if (index == 0)
        return &kernels_baseline;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (index == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return &kernels_avx2;
    if (index == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512cd"))
        return &kernels_avx512;
#endif
    return 0;
}

static PyObject *available(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    PyObject *names = PyList_New(0);
    for (int i = 0; names && i < 3; i++)
        if (runnable(i)) {
            PyObject *name = PyUnicode_FromString(runnable(i)->name);
            if (!name || PyList_Append(names, name))
                Py_CLEAR(names);
            Py_XDECREF(name);
        }
    return names;
}

static PyObject *use(PyObject *self, PyObject *name)
{
    (void)self;
    for (int i = 0; i < 3; i++)
        if (runnable(i) && PyUnicode_CompareWithASCIIString(name, runnable(i)->name) == 0) {
            kernels = runnable(i);
            Py_RETURN_NONE;
        }
    PyErr_Format(PyExc_ValueError, "this CPU has no kernels called %R", name);
    return 0;
}

static PyObject *set_threads(PyObject *self, PyObject *number)
{
    (void)self;
    const long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred())
        return 0;
    return PyLong_FromLong(pool_resize(n < 1 ? 1 : (int)n));
}

#define FAST(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, 0}

static PyMethodDef methods[] = {
    FAST(dense), FAST(packed), FAST(unpack), FAST(quantize), FAST(norm), FAST(activate), FAST(attend),
    {"available", available, METH_NOARGS, "Names of the kernels that this CPU runs, slowest first."},
    {"use", use, METH_O, "Use the kernels of this name."},
    {"set_threads", set_threads, METH_O, "Use so many threads; returns how many there are."},
    {0}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", 0, -1, methods,
                                        0, 0, 0, 0};

PyMODINIT_FUNC PyInit__native(void)
{
    for (int i = 0; i < 3; i++)
        if (runnable(i))
            kernels = runnable(i);
    return PyModule_Create(&definition);
}
