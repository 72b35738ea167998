/* Operations that are recorded while they run, to be run again without Python between them. */
#include "python.h"

#include <stdlib.h>
#include <time.h>

typedef struct {
    Operation *operations;
    long n, room;
} Program;

static Program *recording;

static const char PROGRAM[] = "llmcli.program";

PyObject *done(const Operation *operation, Moment moment)
{
    if (!run(operation, moment))
        return PyErr_NoMemory();
    if (recording) {
        if (recording->n == recording->room) {
            const long room = 2 * recording->room + 64;
            void *more = realloc(recording->operations, (size_t)room * sizeof(Operation));
            if (!more)
                return PyErr_NoMemory();
            recording->operations = more, recording->room = room;
        }
        recording->operations[recording->n++] = *operation;
    }
    Py_RETURN_NONE;
}

static void forget(Program *program)
{
    free(program->operations);
    free(program);
}

static void forget_capsule(PyObject *capsule) { forget(PyCapsule_GetPointer(capsule, PROGRAM)); }

PyObject *record(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    if (recording)
        forget(recording);
    recording = calloc(1, sizeof *recording);
    if (!recording)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject *recorded(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    if (!recording) {
        PyErr_SetString(PyExc_ValueError, "nothing is being recorded");
        return 0;
    }
    PyObject *capsule = PyCapsule_New(recording, PROGRAM, forget_capsule);
    if (!capsule)
        forget(recording);
    recording = 0;
    return capsule;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A program and `count` whole numbers. Returns 0 and sets the error where that is not given. */
static Program *read_program(PyObject *const *given, Py_ssize_t n, long long *a, int count)
{
    return read_arguments(given + 1, n - 1, a, count, 0, 0) ? PyCapsule_GetPointer(given[0], PROGRAM) : 0;
}

/* Attention that has its cosines at a[0] has them at a[1] from now on, and its sines at a[2]. */
PyObject *turn_to(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[3];
    Program *program = read_program(given, n, a, 3);
    if (!program)
        return 0;
    for (Operation *o = program->operations; o < program->operations + program->n; o++)
        if (o->kind == ATTEND && o->attention.cos == ADDRESS(a[0]))
            o->attention.cos = ADDRESS(a[1]), o->attention.sin = ADDRESS(a[2]);
    Py_RETURN_NONE;
}

/* For the cache a[0], the position a[1] and the token a[2]; what a linear map gave last goes to a[3].
   Returns the nanoseconds that each kind of operation took, by their numbers in `Operation`. */
PyObject *replay(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    (void)self;
    long long a[4];
    const Program *program = read_program(given, n, a, 4);
    if (!program)
        return 0;
    const Moment moment = {ADDRESS(a[0]), (long)a[1], (long)a[2]};
    int64_t spent[N_KINDS] = {0}, before = now_ns();
    for (long i = 0; i < program->n; i++) {
        Operation o = program->operations[i];
        if (i == program->n - 1 && o.kind == DENSE)
            o.dense.y = ADDRESS(a[3]);
        if (i == program->n - 1 && o.kind == PACKED)
            o.packed.y = ADDRESS(a[3]);
        if (!run(&o, moment))
            return PyErr_NoMemory();
        const int64_t now = now_ns();
        spent[o.kind] += now - before, before = now;
    }
    PyObject *list = PyList_New(N_KINDS);
    for (int i = 0; list && i < N_KINDS; i++) {
        PyObject *number = PyLong_FromLongLong(spent[i]);
        if (!number || PyList_SetItem(list, i, number))
            Py_CLEAR(list);
    }
    return list;
}
