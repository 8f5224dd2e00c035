# The C functions that _core.pyx calls, from Python.h and csrc/edgevae.h.

from libc.math cimport isfinite
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t


cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

    # Cython's own declarations of the buffer protocol raise on failure and need an owner. These do
    # neither: a failure becomes an InputError, and a view whose obj is NULL can be released.
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
    int PyBUF_RECORDS_RO, PyBUF_STRIDED
    int PyObject_GetBuffer(object, Py_buffer *, int)
    bint PyBuffer_IsContiguous(const Py_buffer *, char order)
    void PyBuffer_Release(Py_buffer *)

    ctypedef struct PyObject:
        pass
    object PyObject_CallFunctionObjArgs(object, ...)
    unsigned long long PyLong_AsUnsignedLongLong(object)
    bint PyLong_CheckExact(object)
    void *PyErr_Occurred()
    void PyErr_Clear()

    ctypedef struct PyThreadState:
        pass
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
    void ev_extremes_f32(float *least, float *most, const float *x, size_t n)
    void ev_squares_f32(double *sums, float *out, const float *x, const float *y,
                        const float *scale, size_t scales, size_t rows, size_t size)
    size_t EV_MAX_DIRECTIONS
    void ev_distance_f32(double *distances, const float *x, const float *mean, const float *matrix,
                         size_t rows, size_t dims, size_t directions)
    void ev_divergence_f32(double *nats, const float *mu, const float *logvar, size_t rows,
                           size_t dims)
    int ev_select_kernel(const char *name)
    const char *ev_kernel()
    const char *ev_kernel_name(size_t i)

cdef extern from *:
    """
    #ifdef __linux__
    #include <sched.h>
    static int current_core_or_negative(void) { return sched_getcpu(); }
    #else
    static int current_core_or_negative(void) { return -1; }
    #endif
    """
    int current_core_or_negative() nogil
