# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, cdivision=True

# The only door to C. This file checks arguments and allocates results; csrc computes and trusts.
#
# - Built under the limited API, so that one wheel serves every Python from 3.11. NumPy's C API is
#   not in it, and a typed memoryview costs 120 ns an argument: arrays come in by
#   PyObject_GetBuffer, which costs a third of that and takes any exporter of float32.
# - binding=False makes plain builtins; their signatures are in the docstrings, where help() and
#   inspect look. edgevae.sampling and edgevae.batching re-export them as they are, since a wrapper
#   would cost as much as a small call.
# - `normal` and `reparameterize` sort their own arguments (see `bind`): under the limited API
#   Cython would make a tuple and a dict for each call, which took a third of its time.
# - A refusal is always edgevae.errors.InputError, and always before anything is written.
# - Views are cleared first and released last, in `finally`; releasing a cleared view does nothing.

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport isfinite
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

import os
from operator import index

import numpy

from edgevae.errors import InputError


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    # Declared here without Cython's automatic raise (a failure becomes a message of our own) and
    # with an owner that can be NULL.
    ctypedef struct Py_buffer:
        void *buf
        void *obj
        Py_ssize_t len
        Py_ssize_t itemsize
        bint readonly
        int ndim
        char *format
        Py_ssize_t *shape
        Py_ssize_t *strides
    ctypedef struct PyObject:
        pass
    ctypedef struct PyThreadState:
        pass
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL
    int METH_KEYWORDS
    object PyCFunction_NewEx(PyMethodDef *, PyObject *, object)
    object PyObject_CallFunctionObjArgs(object, ...)
    Py_ssize_t PyTuple_Size(PyObject *)
    PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t)
    int PyBUF_RECORDS_RO, PyBUF_STRIDED
    int PyObject_GetBuffer(object, Py_buffer *, int)
    bint PyBuffer_IsContiguous(const Py_buffer *, char order)
    void PyBuffer_Release(Py_buffer *)
    unsigned long long PyLong_AsUnsignedLongLong(object)
    bint PyLong_CheckExact(object)
    void *PyErr_Occurred()
    void PyErr_Clear()
    PyThreadState *PyEval_SaveThread() nogil
    void PyEval_RestoreThread(PyThreadState *) nogil


cdef extern from "edgevae.h" nogil:
    void ev_normal_f32(float *out, uint64_t seed, uint64_t index, uint64_t first_dim,
                       uint32_t purpose, uint32_t draw, size_t rows, size_t dims)
    void ev_scale_f32(float *out, const float *logvar, size_t n)
    void ev_mixture_f32(float *out, const float *mean, const float *scale,
                        const uint32_t *threshold, const uint32_t *alias, uint64_t seed,
                        uint64_t index, float temperature, size_t components, size_t rows,
                        size_t dims)
    void ev_reparameterize_f32(float *out, const float *mu, const float *logvar, uint64_t seed,
                               uint64_t index, size_t draws, size_t rows, size_t dims)
    void ev_pack_f32(uint8_t *out, const float *x, size_t n, size_t channels, size_t height,
                     size_t width, ptrdiff_t item_stride, ptrdiff_t line_stride)
    void ev_gather(void *out, const void *const *parts, const size_t *bytes, size_t count)
    void ev_scatter(void *const *parts, const void *batch, const size_t *bytes, size_t count)
    int ev_select_kernel(const char *name)
    const char *ev_kernel()
    const char *ev_kernel_name(size_t i)


cdef object empty = numpy.empty
cdef object float32 = numpy.dtype(numpy.float32)
cdef object uint8 = numpy.dtype(numpy.uint8)

cdef uint64_t LAST = 0xFFFFFFFFFFFFFFFF       # the largest seed and the largest start
cdef uint64_t FLOATS = PY_SSIZE_T_MAX // 4    # the most float32 that an array can hold
cdef uint64_t DIMENSIONS = 1 << 34            # four to each of 2^32 Philox blocks
cdef uint64_t PURPOSES = 1 << 8               # purpose and draw share a word of the counter
cdef uint64_t DRAWS = 1 << 24

# Numbers (for gather and scatter: groups of four bytes) from which the GIL is released. To release
# it costs 40 ns where nobody waits for it, a fifth of a call for 64 numbers, and up to the switch
# interval of 5 ms where a busy thread takes it meanwhile. A call for fewer numbers than this lasts
# some 50 us at most with vectors, which no other thread misses.
cdef uint64_t RELEASE_FROM = 1 << 15


# -- Checks ----------------------------------------------------------------------------------------

cdef str described(object value):
    """What an error says it got."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is None or shape is None:
        return f"{value!r:.60} ({type(value).__name__})"
    return f"{type(value).__name__} of {dtype}, shape {tuple(shape)}"


cdef uint64_t whole(object value, str name, uint64_t low, uint64_t high) except? 0xFFFFFFFFFFFFFFFF:
    """An int in [low, high]; NumPy's integers pass, bool and float do not."""
    cdef uint64_t number
    if PyLong_CheckExact(value):
        number = PyLong_AsUnsignedLongLong(value)
        if number == LAST and PyErr_Occurred() != NULL:
            PyErr_Clear()
        elif low <= number <= high:
            return number
    elif not isinstance(value, bool):
        try:
            return whole(int(index(value)), name, low, high)
        except TypeError:
            pass
    raise InputError(f"{name}: expected an int from {low} to {high}, got {described(value)}")


cdef int borrow(object array, str name, char code, int ndim, Py_buffer *view) except -1:
    """Take a view of array's memory, with the dtype and the number of axes that C will read."""
    cdef str dtype
    if PyObject_GetBuffer(array, view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        view.obj = NULL
    elif is_code(view, code) and view.ndim == ndim:
        if <uintptr_t>view.buf % <size_t>view.itemsize == 0:
            return 0
        raise InputError(f"{name}: expected memory aligned to {view.itemsize} bytes, got address "
                         f"{<uintptr_t>view.buf:#x}; pass {name}.copy()")
    dtype = {b"f": "float32", b"B": "uint8", b"I": "uint32"}[bytes([code])]
    raise InputError(f"{name}: expected a {dtype} array with {ndim} axes in native byte order, got "
                     f"{described(array)}; numpy.asarray({name}, dtype={dtype!r}) converts, "
                     f".reshape sets the axes")


cdef inline bint is_code(Py_buffer *view, char code) noexcept:
    cdef const char *format = view.format
    if format == NULL:
        return False
    if format[0] == c"=":  # native byte order, standard sizes: what NumPy says of unaligned memory
        format += 1
    # uint32 is an `unsigned long` where a long has four bytes.
    return (format[0] == code or (code == c"I" and format[0] == c"L" and view.itemsize == 4)) \
        and format[1] == 0


cdef int dense(object array, str name, Py_buffer *view) except -1:
    if PyBuffer_IsContiguous(view, c"C"):
        return 0
    raise InputError(f"{name}: expected a C-contiguous array, got {described(array)} with strides "
                     f"{tuple([view.strides[i] for i in range(view.ndim)])}; "
                     f"pass numpy.ascontiguousarray({name})")


cdef int writable(object array, str name, Py_buffer *view) except -1:
    if not view.readonly:
        return 0
    raise InputError(f"{name}: expected a writeable array, got a read-only {described(array)}; "
                     f"pass {name}.copy() or leave {name} out")


cdef int shaped(object array, str name, Py_buffer *view, Py_ssize_t *shape, str why) except -1:
    cdef int i
    for i in range(view.ndim):
        if view.shape[i] != shape[i]:
            expected = tuple([shape[i] for i in range(view.ndim)])
            raise InputError(f"{name}: expected shape {expected}, {why}, got {described(array)}")
    return 0


cdef int apart(str name, Py_buffer *out, str other, Py_buffer *view) except -1:
    """Refuse an out whose bytes are among an input's: a kernel may write before it has read."""
    cdef uintptr_t out_first, out_end, first, end
    span(out, &out_first, &out_end)
    span(view, &first, &end)
    if out.len == 0 or view.len == 0 or out_end <= first or end <= out_first:
        return 0
    raise InputError(f"{name}: expected memory apart from {other}, got an array that overlaps it; "
                     f"pass a new array for {name}")


cdef void span(Py_buffer *view, uintptr_t *first, uintptr_t *end) noexcept:
    """The addresses of a view's first byte and of the one past its last."""
    cdef int i
    first[0] = <uintptr_t>view.buf
    end[0] = first[0] + view.itemsize
    for i in range(view.ndim):
        if view.strides[i] < 0:
            first[0] += (view.shape[i] - 1) * view.strides[i]
        else:
            end[0] += (view.shape[i] - 1) * view.strides[i]


cdef object fresh(object shape, object dtype, Py_buffer *view):
    """A new array and a view of it; without its format, which costs a third of the view."""
    array = PyObject_CallFunctionObjArgs(empty, <PyObject *>shape, <PyObject *>dtype, NULL)
    if PyObject_GetBuffer(array, view, PyBUF_STRIDED) != 0:
        PyErr_Clear()
        view.obj = NULL
        raise BufferError("expected memory from numpy.empty, got none")
    return array


cdef int given_out(object out, char code, int ndim, Py_ssize_t *shape, str why,
                   Py_buffer *view) except -1:
    borrow(out, "out", code, ndim, view)
    writable(out, "out", view)
    return shaped(out, "out", view, shape, why)


cdef int countable(uint64_t rows, uint64_t dims, uint64_t draws) except -1:
    """Refuse a result whose size in bytes does not fit an address."""
    if rows == 0 or dims == 0 or (rows <= FLOATS // dims and draws <= FLOATS // dims // rows):
        return 0
    raise InputError(f"rows: expected at most {FLOATS} numbers in all, got {draws} draws x {rows} "
                     f"rows x {dims} dims; draw fewer rows at a time and give start")


# -- The GIL ---------------------------------------------------------------------------------------

cdef inline PyThreadState *release(uint64_t numbers) noexcept nogil:
    """Let other threads run Python while C works, where the work is worth the handover."""
    return PyEval_SaveThread() if numbers >= RELEASE_FROM else NULL


cdef inline void retake(PyThreadState *thread) noexcept nogil:
    if thread != NULL:
        PyEval_RestoreThread(thread)


# -- Calls -----------------------------------------------------------------------------------------

cdef int bind(str function, tuple names, PyObject **args, Py_ssize_t count, PyObject *keywords,
              PyObject **given) except -1:
    """Sort the arguments of a METH_FASTCALL function by name; those left out stay NULL.

    Of the names the first two may be positional, and the first three must be given.
    """
    cdef Py_ssize_t size = PyTuple_Size(<PyObject *>names)
    cdef Py_ssize_t i, k
    cdef PyObject *keyword
    if count > 2:
        raise TypeError(f"{function}() takes 2 positional arguments but {count} were given")
    for i in range(size):
        given[i] = args[i] if i < count else NULL
    for k in range(PyTuple_Size(keywords) if keywords != NULL else 0):
        keyword = PyTuple_GetItem(keywords, k)
        i = 0
        while i < size and PyTuple_GetItem(<PyObject *>names, i) != keyword:
            i += 1
        if i == size:  # not the interned string that a call in source code passes
            if <object>keyword not in names:
                raise TypeError(f"{function}() got an unexpected keyword argument "
                                f"{<object>keyword!r}")
            i = names.index(<object>keyword)
        if given[i] != NULL:
            raise TypeError(f"{function}() got multiple values for argument {names[i]!r}")
        given[i] = args[count + k]
    for i in range(3):
        if given[i] == NULL:
            raise TypeError(f"{function}() missing required argument {names[i]!r}")
    return 0


cdef object method(PyMethodDef *definition, const char *name, void *function, const char *doc):
    """A builtin of this module; definition must live as long as it does."""
    definition.ml_name = name
    definition.ml_meth = function
    definition.ml_flags = METH_FASTCALL | METH_KEYWORDS
    definition.ml_doc = doc
    return PyCFunction_NewEx(definition, NULL, __name__)


# -- The stream ------------------------------------------------------------------------------------

cdef object normal_(PyObject *self, PyObject **args, Py_ssize_t count, PyObject *keywords):
    cdef PyObject *given[8]
    cdef uint64_t key, at = 0, column = 0
    cdef uint32_t purpose = 0, draw = 0
    cdef Py_ssize_t[2] shape
    cdef Py_buffer view
    cdef PyThreadState *thread
    bind("normal", ("rows", "dims", "seed", "start", "first_dim", "purpose", "draw", "out"),
         args, count, keywords, given)
    shape[0] = whole(<object>given[0], "rows", 0, FLOATS)
    shape[1] = whole(<object>given[1], "dims", 0, FLOATS)
    key = whole(<object>given[2], "seed", 0, LAST)
    if given[3] != NULL:
        at = whole(<object>given[3], "start", 0, LAST)
    if given[4] != NULL:
        column = whole(<object>given[4], "first_dim", 0, DIMENSIONS)
    if given[5] != NULL:
        purpose = <uint32_t>whole(<object>given[5], "purpose", 0, PURPOSES - 1)
    if given[6] != NULL:
        draw = <uint32_t>whole(<object>given[6], "draw", 0, DRAWS - 1)
    if <uint64_t>shape[1] > DIMENSIONS - column:
        raise InputError(f"first_dim: expected first_dim + dims of at most {DIMENSIONS}, got "
                         f"{column} + {shape[1]}")
    countable(shape[0], shape[1], 1)
    out = <object>given[7] if given[7] != NULL else None
    view.obj = NULL
    try:
        if out is None:
            out = fresh((<object>given[0], <object>given[1]), float32, &view)
        else:
            given_out(out, c"f", 2, shape, "(rows, dims)", &view)
            dense(out, "out", &view)
        thread = release(shape[0] * shape[1])
        ev_normal_f32(<float *>view.buf, key, at, column, purpose, draw, shape[0], shape[1])
        retake(thread)
    finally:
        PyBuffer_Release(&view)
    return out


cdef PyMethodDef normal_definition
normal = method(&normal_definition, "normal", <void *>normal_, b"""\
normal(rows, dims, *, seed, start=0, first_dim=0, purpose=0, draw=0, out=None)
--

Standard normals of stream 1: a pure function of (seed, row, dimension, purpose, draw).

Row i of the result is row start + i of the stream (modulo 2**64), column j its dimension
first_dim + j. However a range is cut into calls, the bits are the same; they are the same on
every machine too.

rows, dims  how many, from 0
seed, start  in [0, 2**64)
first_dim  first_dim + dims is at most 2**34
purpose, draw  purpose in [0, 256), draw in [0, 2**24): independent numbers for the same row
out  float32 (rows, dims), C-contiguous, to be filled and returned; None makes a new array

Returns float32 (rows, dims), each number in [-6.6, 6.6].
Raises InputError, before anything is written, where an argument is none of the above.

Philox4x32-10 (Salmon et al. 2011) and Box-Muller (1958), as csrc/philox.h and csrc/normal.h
state them.
""")


def mixture(rows, means, scales, thresholds, aliases, *, seed, start, temperature, out):
    """Draws from a mixture of diagonal Gaussians; edgevae.sampling.mixture is the public form.

    means, scales  float32 (components, dims), scales = exp(logvar / 2)
    thresholds, aliases  uint32 (components,), an alias table

    Returns float32 (rows, dims). Raises InputError as `normal` does.
    """
    cdef uint64_t n = whole(rows, "rows", 0, FLOATS)
    cdef uint64_t key = whole(seed, "seed", 0, LAST)
    cdef uint64_t at = whole(start, "start", 0, LAST)
    cdef float heat = warmth(temperature)
    cdef Py_buffer mean_view, scale_view, threshold_view, alias_view, out_view
    cdef Py_ssize_t components, dims, i
    cdef Py_ssize_t[2] shape
    cdef uint32_t largest = 0
    cdef PyThreadState *thread
    mean_view.obj = scale_view.obj = threshold_view.obj = alias_view.obj = out_view.obj = NULL
    try:
        borrow(means, "means", c"f", 2, &mean_view)
        borrow(scales, "scales", c"f", 2, &scale_view)
        borrow(thresholds, "thresholds", c"I", 1, &threshold_view)
        borrow(aliases, "aliases", c"I", 1, &alias_view)
        dense(means, "means", &mean_view)
        dense(scales, "scales", &scale_view)
        dense(thresholds, "thresholds", &threshold_view)
        dense(aliases, "aliases", &alias_view)
        components, dims = mean_view.shape[0], mean_view.shape[1]
        shape = [components, dims]
        shaped(scales, "scales", &scale_view, shape, "that of means")
        shaped(thresholds, "thresholds", &threshold_view, shape, "one to each row of means")
        shaped(aliases, "aliases", &alias_view, shape, "one to each row of means")
        for i in range(components):
            largest = max(largest, (<uint32_t *>alias_view.buf)[i])
        if largest >= components:
            raise InputError(f"aliases: expected indices below the {components} components, "
                             f"got {largest}")
        countable(n, dims, 1)
        if out is None:
            out = fresh((n, dims), float32, &out_view)
        else:
            shape = [n, dims]
            given_out(out, c"f", 2, shape, "(rows, dims)", &out_view)
            dense(out, "out", &out_view)
            apart("out", &out_view, "means", &mean_view)
            apart("out", &out_view, "scales", &scale_view)
            apart("out", &out_view, "thresholds", &threshold_view)
            apart("out", &out_view, "aliases", &alias_view)
        thread = release(n * dims)
        ev_mixture_f32(<float *>out_view.buf, <float *>mean_view.buf, <float *>scale_view.buf,
                       <uint32_t *>threshold_view.buf, <uint32_t *>alias_view.buf, key, at, heat,
                       components, n, dims)
        retake(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&alias_view)
        PyBuffer_Release(&threshold_view)
        PyBuffer_Release(&scale_view)
        PyBuffer_Release(&mean_view)
    return out


cdef float warmth(object temperature) except -1:
    cdef float heat
    if isinstance(temperature, (int, float, numpy.integer, numpy.floating)):
        heat = temperature
        if heat >= 0 and isfinite(heat):
            return heat
    raise InputError("temperature: expected a finite number, 0 or more, got "
                     f"{described(temperature)}; 1.0 is the prior itself")


def scale(logvar):
    """exp(logvar / 2) of a float32 (rows, dims) array, logvar clamped to [-30, 20].

    The rounding is the kernel's own, the same on every machine; exp(0) is exactly 1.
    """
    cdef Py_buffer logvar_view, out_view
    logvar_view.obj = out_view.obj = NULL
    try:
        borrow(logvar, "logvar", c"f", 2, &logvar_view)
        dense(logvar, "logvar", &logvar_view)
        out = fresh((logvar_view.shape[0], logvar_view.shape[1]), float32, &out_view)
        ev_scale_f32(<float *>out_view.buf, <float *>logvar_view.buf, out_view.len // 4)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&logvar_view)
    return out


cdef object reparameterize_(PyObject *self, PyObject **args, Py_ssize_t count,
                            PyObject *keywords):
    cdef PyObject *given[6]
    cdef uint64_t key, at = 0, draws = 1
    cdef Py_buffer mu_view, logvar_view, out_view
    cdef Py_ssize_t[3] shape
    cdef int axes
    cdef PyThreadState *thread
    bind("reparameterize", ("mu", "logvar", "seed", "start", "draws", "out"),
         args, count, keywords, given)
    mu, logvar = <object>given[0], <object>given[1]
    key = whole(<object>given[2], "seed", 0, LAST)
    if given[3] != NULL:
        at = whole(<object>given[3], "start", 0, LAST)
    if given[4] != NULL:
        draws = whole(<object>given[4], "draws", 1, DRAWS - 1)
    out = <object>given[5] if given[5] != NULL else None
    axes = 2 if draws == 1 else 3
    mu_view.obj = logvar_view.obj = out_view.obj = NULL
    try:
        borrow(mu, "mu", c"f", 2, &mu_view)
        borrow(logvar, "logvar", c"f", 2, &logvar_view)
        dense(mu, "mu", &mu_view)
        dense(logvar, "logvar", &logvar_view)
        shaped(logvar, "logvar", &logvar_view, mu_view.shape, "that of mu")
        shape = [<Py_ssize_t>draws, mu_view.shape[0], mu_view.shape[1]]
        countable(shape[1], shape[2], draws)
        if out is not None:
            given_out(out, c"f", axes, shape + 3 - axes,
                      "(rows, dims)" if axes == 2 else "(draws, rows, dims)", &out_view)
            dense(out, "out", &out_view)
            apart("out", &out_view, "mu", &mu_view)
            apart("out", &out_view, "logvar", &logvar_view)
        elif axes == 2:
            out = fresh((shape[1], shape[2]), float32, &out_view)
        else:
            out = fresh((draws, shape[1], shape[2]), float32, &out_view)
        thread = release(draws * shape[1] * shape[2])
        ev_reparameterize_f32(<float *>out_view.buf, <float *>mu_view.buf,
                              <float *>logvar_view.buf, key, at, draws, shape[1], shape[2])
        retake(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&logvar_view)
        PyBuffer_Release(&mu_view)
    return out


cdef PyMethodDef reparameterize_definition
reparameterize = method(&reparameterize_definition, "reparameterize", <void *>reparameterize_, b"""\
reparameterize(mu, logvar, *, seed, start=0, draws=1, out=None)
--

z = mu + exp(logvar / 2) * eps, eps from stream 1 and never stored.

mu, logvar  float32 (rows, dims), C-contiguous; logvar is the log of the variance, clamped to
    [-30, 20]
seed, start  in [0, 2**64); row i of mu takes the noise of row start + i (modulo 2**64)
draws  how often each row is drawn, in [1, 2**24)
out  float32 of the result's shape, C-contiguous, apart from mu and logvar, to be filled and
    returned; None makes a new array

Returns float32 (rows, dims) where draws is 1, otherwise (draws, rows, dims).
Raises InputError, before anything is written, where an argument is none of the above.

Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.4.
""")


# -- Moving pixels and rows ------------------------------------------------------------------------

def pack(x, out=None):
    """Turn float images, channels first, into 8-bit images, channels last.

    x  float32 (N, C, H, W), C-contiguous, in [0, 1]
    out  uint8 (N, H, W, C), writeable, apart from x; the pixels of a line are adjacent, lines and
        images may be strided. None makes a new array

    Returns uint8 (N, H, W, C): floor(255 x + 0.5), so that halves round up; values outside [0, 1]
    are clamped and NaN is 0.
    Raises InputError, before anything is written, where an argument is none of the above.

    Images pack straight into a row of a contact sheet (rows * H, columns * W, C):

        row = sheet[r * H : (r + 1) * H].reshape(H, columns, W, C).transpose(1, 0, 2, 3)
        pack(x[r * columns : (r + 1) * columns], out=row)
    """
    cdef Py_buffer x_view, out_view
    cdef Py_ssize_t n, channels, height, width
    cdef Py_ssize_t[4] shape
    cdef PyThreadState *thread
    x_view.obj = out_view.obj = NULL
    try:
        borrow(x, "x", c"f", 4, &x_view)
        dense(x, "x", &x_view)
        n, channels, height, width = (x_view.shape[0], x_view.shape[1], x_view.shape[2],
                                      x_view.shape[3])
        if out is None:
            out = fresh((n, height, width, channels), uint8, &out_view)
        else:
            shape = [n, height, width, channels]
            given_out(out, c"B", 4, shape, "that of x with its channels last", &out_view)
            lines(out, &out_view)
            apart("out", &out_view, "x", &x_view)
        thread = release(x_view.len // 4)
        ev_pack_f32(<uint8_t *>out_view.buf, <float *>x_view.buf, n, channels, height, width,
                    out_view.strides[0], out_view.strides[1])
        retake(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&x_view)
    return out


cdef int lines(object out, Py_buffer *view) except -1:
    """Refuse pixels that are not adjacent, and lines that could lie one on another."""
    cdef Py_ssize_t *shape = view.shape
    cdef Py_ssize_t *strides = view.strides
    cdef Py_ssize_t line = shape[2] * shape[3]
    cdef Py_ssize_t item_step = abs(strides[0])
    cdef Py_ssize_t line_step = abs(strides[1])
    if view.len == 0:
        return 0
    if (shape[3] == 1 or strides[3] == 1) and (shape[2] == 1 or strides[2] == shape[3]):
        # Either image after image, or the lines of several images side by side.
        if (shape[1] == 1 or line_step >= line) and (shape[0] == 1 or item_step >= line):
            if shape[0] == 1 or item_step >= (shape[1] - 1) * line_step + line:
                return 0
            if shape[1] == 1 or line_step >= (shape[0] - 1) * item_step + line:
                return 0
    raise InputError(f"out: expected adjacent pixels (strides {shape[3]} and 1 on the last two "
                     f"axes) in lines apart from each other, got {described(out)} with strides "
                     f"{tuple([strides[i] for i in range(4)])}; leave out out for a new array")


def gather(parts, out):
    """Copy the rows of several arrays into one, one array after the other.

    parts  a sequence of arrays (rows_i, ...), C-contiguous
    out  (sum of rows_i, ...), C-contiguous, writeable, apart from the parts; its dtype (float32 or
        uint8) and its other axes are those of the parts

    Returns out. Raises InputError, before anything is written, where an argument is none of that.
    """
    move(out, "out", parts, "parts", True)
    return out


def scatter(x, outs):
    """Copy the rows of one array out into several: `gather` the other way round.

    x  (sum of rows_i, ...), C-contiguous, float32 or uint8
    outs  a sequence of arrays (rows_i, ...), C-contiguous, writeable, apart from x and each other

    Raises InputError, before anything is written, where an argument is none of that.
    """
    move(x, "x", outs, "outs", False)


cdef int move(object batch, str name, object parts, str parts_name, bint gathering) except -1:
    cdef list arrays = list(parts)
    cdef Py_ssize_t count = len(arrays)
    cdef Py_ssize_t rows = 0
    cdef Py_ssize_t i
    cdef Py_buffer *views = <Py_buffer *>PyMem_Calloc(count + 1, sizeof(Py_buffer))
    cdef void **addresses = <void **>PyMem_Calloc(count + 1, sizeof(void *))
    cdef size_t *sizes = <size_t *>PyMem_Calloc(count + 1, sizeof(size_t))
    cdef Py_buffer *full = views + count
    cdef PyThreadState *thread
    try:
        if views == NULL or addresses == NULL or sizes == NULL:
            raise MemoryError
        borrow_rows(batch, name, full)
        if gathering:
            writable(batch, name, full)
        for i in range(count):
            one = f"{parts_name}[{i}]"
            borrow_rows(arrays[i], one, &views[i])
            same_rows(arrays[i], one, &views[i], batch, name, full)
            if gathering:
                apart(name, full, one, &views[i])
            else:
                writable(arrays[i], one, &views[i])
                apart(one, &views[i], name, full)
            rows += views[i].shape[0]
            addresses[i] = views[i].buf
            sizes[i] = views[i].len
        if rows != full.shape[0]:
            raise InputError(f"{name}: expected {rows} rows, as many as {parts_name} hold, "
                             f"got {described(batch)}")
        if not gathering:
            all_apart(parts_name, addresses, sizes, count)
        thread = release(full.len // 4)
        if gathering:
            ev_gather(full.buf, <const void *const *>addresses, sizes, count)
        else:
            ev_scatter(<void *const *>addresses, full.buf, sizes, count)
        retake(thread)
    finally:
        if views != NULL:
            for i in range(count + 1):
                PyBuffer_Release(&views[i])
        PyMem_Free(views)
        PyMem_Free(addresses)
        PyMem_Free(sizes)
    return 0


cdef int borrow_rows(object array, str name, Py_buffer *view) except -1:
    if PyObject_GetBuffer(array, view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        view.obj = NULL
    elif (is_code(view, c"f") or is_code(view, c"B")) and view.ndim > 0:
        return dense(array, name, view)
    raise InputError(f"{name}: expected a float32 or uint8 array of rows, got {described(array)}")


cdef int same_rows(object array, str name, Py_buffer *view,
                   object batch, str batch_name, Py_buffer *full) except -1:
    cdef bint same = view.itemsize == full.itemsize and view.ndim == full.ndim
    cdef int i
    for i in range(1, view.ndim if same else 0):
        same = same and view.shape[i] == full.shape[i]
    if same:
        return 0
    raise InputError(f"{name}: expected the dtype and the row shape of {batch_name}, "
                     f"{described(batch)}, got {described(array)}")


cdef int all_apart(str name, void **addresses, size_t *sizes, Py_ssize_t count) except -1:
    spans = sorted([(<uintptr_t>addresses[i], sizes[i], i) for i in range(count) if sizes[i] != 0])
    for (first, size, i), (second, _, j) in zip(spans, spans[1:]):
        if first + size > second:
            raise InputError(f"{name}: expected arrays apart from each other, got {name}[{i}] and "
                             f"{name}[{j}] that overlap")
    return 0


# -- Kernels ---------------------------------------------------------------------------------------

def kernels():
    """Which kernels run on this CPU, slowest first, and which one is in use.

    Returns {"available": [name, ...], "active": name}. The environment variable EDGEVAE_KERNEL
    chooses another one than the last, before the first import.
    """
    cdef size_t i = 0
    names = []
    while ev_kernel_name(i) != NULL:
        names.append(ev_kernel_name(i).decode())
        i += 1
    return {"available": names, "active": ev_kernel().decode()}


def use_kernel(name):
    """Use the kernel of that name from now on; None stands for the best one.

    For tests and benchmarks: no other thread may be computing meanwhile. Every kernel gives the
    same bits. Raises InputError where no kernel of that name runs here.
    """
    choose(name, "name")


cdef int choose(object name, str source) except -1:
    cdef bytes encoded
    if name is None:
        return ev_select_kernel(NULL)
    encoded = str(name).encode()
    if ev_select_kernel(encoded) == 0:
        return 0
    raise InputError(f"{source}: expected one of the kernels that run on this CPU, "
                     f"{', '.join(kernels()['available'])}, got {name!r}")


choose(None, "name")
choose(os.environ.get("EDGEVAE_KERNEL") or None, "EDGEVAE_KERNEL")
