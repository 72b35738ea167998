/* Python's way to the kernels: functions of whole numbers and addresses, no torch. Who calls them
   vouches for every address and size; `llmcli.core.ops` is the only one who does. */
#include "python.h"

#include "pool.h"

int read_arguments(PyObject *const *given, Py_ssize_t n, long long *whole, int n_whole,
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

static PyObject *dense(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[11];
    if (!read_arguments(given, n, a, 11, 0, 0))
        return 0;
    Operation o = {DENSE, .dense = {.n = (long)a[0], .in = (long)a[1], .out = (long)a[2],
                                    .x = ADDRESS(a[3]), .x_kind = (Kind)a[4], .w = ADDRESS(a[5]),
                                    .w_kind = (Kind)a[6], .bias = ADDRESS(a[7]),
                                    .bias_kind = (Kind)a[8], .y = ADDRESS(a[9]),
                                    .y_kind = (Kind)a[10]}};
    return done(&o, (Moment){0});
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
    Operation o = {PACKED, .packed = packed_of(a)};
    o.packed.n = (long)a[7];
    o.packed.x = ADDRESS(a[8]), o.packed.x_kind = (Kind)a[9], o.packed.bias = ADDRESS(a[10]);
    o.packed.bias_kind = (Kind)a[11], o.packed.y = ADDRESS(a[12]), o.packed.y_kind = (Kind)a[13];
    return done(&o, (Moment){0});
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

static PyObject *quantize(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[8];
    if (!read_arguments(given, n, a, 8, 0, 0))
        return 0;
    Quantize op = {.in = (long)a[0], .out = (long)a[1], .bits = (long)a[2], .group = (long)a[3],
                   .w = ADDRESS(a[4]), .kind = (Kind)a[5], .codes = ADDRESS(a[6]),
                   .scales = ADDRESS(a[7])};
    if (!run_quantize(&op))
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *norm(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[7];
    double eps;
    if (!read_arguments(given, n, a, 7, &eps, 1))
        return 0;
    Operation o = {NORM, .norm = {.n = (long)a[0], .width = (long)a[1], .x = ADDRESS(a[2]),
                                  .y = ADDRESS(a[3]), .kind = (Kind)a[4], .weight = ADDRESS(a[5]),
                                  .bias = ADDRESS(a[6]), .eps = (float)eps}};
    return done(&o, (Moment){0});
}

static PyObject *activate(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[7];
    if (!read_arguments(given, n, a, 7, 0, 0))
        return 0;
    Operation o = {ACTIVATE, .activate = {.n = (long)a[0], .width = (long)a[1], .x = ADDRESS(a[2]),
                                          .y = ADDRESS(a[3]), .kind = (Kind)a[4],
                                          .activation = (Activation)a[5], .gated = (int)a[6]}};
    return done(&o, (Moment){0});
}

static PyObject *add(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[5];
    double scale;
    if (!read_arguments(given, n, a, 5, &scale, 1))
        return 0;
    Operation o = {ADD, .add = {.n = (long)a[0], .x = ADDRESS(a[1]), .added = ADDRESS(a[2]),
                                .y = ADDRESS(a[3]), .kind = (Kind)a[4], .scale = (float)scale}};
    return done(&o, (Moment){0});
}

static PyObject *gather(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[6];
    if (!read_arguments(given, n, a, 6, 0, 0))
        return 0;
    Operation o = {GATHER, .gather = {.n = (long)a[0], .width = (long)a[1], .x = ADDRESS(a[2]),
                                      .order = ADDRESS(a[3]), .y = ADDRESS(a[4]),
                                      .kind = (Kind)a[5]}};
    return done(&o, (Moment){0});
}

static PyObject *attend(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[19];
    double real[2];
    if (!read_arguments(given, n, a, 19, real, 2))
        return 0;
    Operation o = {ATTEND, .attention = {
        .q = ADDRESS(a[0]), .k = ADDRESS(a[1]), .v = ADDRESS(a[2]), .kind = (Kind)a[3],
        .heads = (long)a[4], .kv_heads = (long)a[5], .width = (long)a[6], .cos = ADDRESS(a[7]),
        .sin = ADDRESS(a[8]), .rotated = (long)a[9], .layer = (long)a[10], .window = (long)a[11],
        .z = ADDRESS(a[12]), .n = (long)a[15], .q_stride = (long)a[16], .k_stride = (long)a[17],
        .v_stride = (long)a[18], .scale = (float)real[0], .softcap = (float)real[1]}};
    return done(&o, (Moment){.held = ADDRESS(a[13]), .position = (long)a[14]});
}

static PyObject *embed(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[14];
    if (!read_arguments(given, n, a, 14, 0, 0))
        return 0;
    Operation o = {EMBED, .embed = {.matrix = packed_of(a), .table = ADDRESS(a[7]),
                                    .kind = (Kind)a[8], .width = (long)a[9],
                                    .by_position = (long)a[11], .y = ADDRESS(a[12]),
                                    .y_kind = (Kind)a[13]}};
    return done(&o, (Moment){.position = (long)a[10], .token = (long)a[10]});
}

static PyObject *survey(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[2];
    if (!read_arguments(given, n, a, 2, 0, 0))
        return 0;
    const Survey found = kernels->survey(ADDRESS(a[0]), (long)a[1]);
    return Py_BuildValue("ldd", found.index, (double)found.top, found.log_total);
}

/* The kernels by number, each level's CPUs being able to run those before; null where this one is not. */
enum { N_LEVELS = 4 };

static const Kernels *runnable(int level)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level >= 1 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("bmi2")))
        return 0;
    if (level >= 2 && !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512cd")))
        return 0;
    if (level >= 3 && !(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")))
        return 0;
    const Kernels *const levels[N_LEVELS] = {&kernels_baseline, &kernels_avx2, &kernels_avx512,
                                             &kernels_avx512_bf16};
    return levels[level];
#else
    return level == 0 ? &kernels_baseline : 0;
#endif
}

static PyObject *available(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    PyObject *names = PyList_New(0);
    for (int i = 0; names && i < N_LEVELS; i++)
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
    for (int i = 0; i < N_LEVELS; i++)
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
    FAST(dense), FAST(packed), FAST(unpack), FAST(quantize), FAST(norm),
    FAST(activate), FAST(add), FAST(gather), FAST(attend), FAST(embed), FAST(turn_to), FAST(replay),
    FAST(survey),
    {"record", record, METH_NOARGS, "Note down every operation from now on."},
    {"recorded", recorded, METH_NOARGS, "What was noted down, for `replay`."},
    {"available", available, METH_NOARGS, "Names of the kernels that this CPU runs, slowest first."},
    {"use", use, METH_O, "Use the kernels of this name."},
    {"set_threads", set_threads, METH_O, "Use so many threads; returns how many there are."},
    {0}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", 0, -1, methods,
                                        0, 0, 0, 0};

PyMODINIT_FUNC PyInit__native(void)
{
    for (int i = 0; i < N_LEVELS; i++)
        if (runnable(i))
            kernels = runnable(i);
    return PyModule_Create(&definition);
}
