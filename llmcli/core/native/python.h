/* What module.c and program.c share. Built on Python's stable ABI, so that one build serves every
   version. */
#ifndef LLMCLI_PYTHON_H
#define LLMCLI_PYTHON_H

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "operations.h"

#define ADDRESS(x) ((void *)(uintptr_t)(x))

/* The arguments: addresses and sizes first, real numbers last. Returns 0 and sets the error where
   there are not as many. */
int read_arguments(PyObject *const *given, Py_ssize_t n, long long *whole, int n_whole,
                   double *real, int n_real);

/* Run an operation, and note it down where that is asked for. */
PyObject *done(const Operation *operation, Moment moment);

PyObject *record(PyObject *self, PyObject *nothing);
PyObject *recorded(PyObject *self, PyObject *nothing);
PyObject *turn_to(PyObject *self, PyObject *const *given, Py_ssize_t n);
PyObject *replay(PyObject *self, PyObject *const *given, Py_ssize_t n);

#endif
