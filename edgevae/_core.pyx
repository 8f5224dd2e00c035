# cython: language_level=3, binding=False, embedsignature=True, embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True

# The binding of csrc, and the only file of the package that calls C. Each function here checks its
# arguments, allocates its result and calls csrc, which trusts what it receives.
#
#   _core_declarations.pxi  the C functions that are called
#   _core_checks.pxi        the checks; every failed check is an InputError, raised before any write
#   _core_gate.pxi          Gate, which many threads wait at
#
# - With the GIL the module is built under the limited API, so that one wheel serves every Python
#   from 3.11. That API lacks NumPy's C API, and typed memoryviews cost 120 ns for each argument.
#   Arrays are therefore read through PyObject_GetBuffer, which costs a third of that and accepts
#   any object with a float32 buffer.
# - binding=False makes plain builtins, whose signatures stand in the docstrings for help() and
#   inspect. edgevae.sampling, packing and engine use them without a wrapper.
# - The functions are ordinary `def`s. Under the limited API of Python 3.11 Cython passes their
#   arguments in a tuple and a dict; csrc/README.md has the cost. From the limited API of Python
#   3.12 on (0x030C0000) it uses the vectorcall protocol.
# - On a free-threaded Python the module is built without the limited API and does not turn the GIL
#   on. Its only state that changes is the kernel in use, which is set at import and by `use_kernel`.
#   As with the GIL, callers may not write to an array that another thread passes to a call.
# - In each function, `c_NAME` is the checked C value of the argument NAME.

import operator
import os

import numpy

from edgevae.errors import InputError

include "_core_declarations.pxi"
include "_core_checks.pxi"
include "_core_gate.pxi"


# -- The GIL ---------------------------------------------------------------------------------------

# Calls for at least this many numbers release the GIL. A release costs 40 ns if no thread waits for
# the GIL, a fifth of a call for 64 numbers, and up to the switch interval of 5 ms if a busy thread
# takes it. With a vector kernel, a call for fewer numbers takes about 50 us at most, which does not
# delay other threads noticeably.
cdef uint64_t GIL_RELEASE_SIZE = 1 << 15


cdef inline PyThreadState *release_gil(uint64_t numbers) noexcept nogil:
    """Release the GIL for a large call; return NULL for a small one, which keeps it."""
    return PyEval_SaveThread() if numbers >= GIL_RELEASE_SIZE else NULL


cdef inline void restore_gil(PyThreadState *thread) noexcept nogil:
    if thread != NULL:
        PyEval_RestoreThread(thread)


# -- The stream ------------------------------------------------------------------------------------

def normal(rows, dims, *, seed, start=0, first_dim=0, purpose=0, draw=0, out=None):
    """Draw standard normals of stream 1, a pure function of (seed, row, dimension, purpose, draw).

    Row i of the result is row start + i of the stream (modulo 2**64), and column j is its dimension
    first_dim + j. The bits are the same on every machine, and they do not depend on how a range of
    rows or dimensions is divided into calls.

    rows, dims  the shape of the result, each 0 or more
    seed, start  in [0, 2**64)
    first_dim  first_dim + dims is at most 2**34
    purpose, draw  purpose in [0, 256), draw in [0, 2**24): independent numbers for the same row
    out  float32 (rows, dims), C-contiguous, to be filled and returned; None makes a new array

    Returns float32 (rows, dims), each number in [-6.6, 6.6].
    Raises InputError, before anything is written, if an argument does not fit this description.

    Sources: Philox4x32-10 (Salmon et al. 2011) and Box-Muller (1958), as specified in csrc/philox.h
    and csrc/normal.h.
    """
    cdef Py_ssize_t[2] shape
    shape[0] = get_integer(rows, "rows", 0, MAX_FLOATS)
    shape[1] = get_integer(dims, "dims", 0, MAX_FLOATS)
    cdef uint64_t c_seed = get_integer(seed, "seed", 0, MAX_UINT64)
    cdef uint64_t c_start = get_integer(start, "start", 0, MAX_UINT64)
    cdef uint64_t c_first_dim = get_integer(first_dim, "first_dim", 0, MAX_DIMS)
    cdef uint32_t c_purpose = <uint32_t>get_integer(purpose, "purpose", 0, MAX_PURPOSE)
    cdef uint32_t c_draw = <uint32_t>get_integer(draw, "draw", 0, MAX_DRAW)
    cdef Py_buffer out_view
    cdef PyThreadState *thread
    if <uint64_t>shape[1] > MAX_DIMS - c_first_dim:
        raise InputError(f"first_dim: expected first_dim + dims of at most {MAX_DIMS}, got "
                         f"{c_first_dim} + {shape[1]}")
    require_countable(shape[0], shape[1], 1)
    out_view.obj = NULL
    try:
        out = get_float_output(out, 2, shape, &out_view)
        thread = release_gil(shape[0] * shape[1])
        ev_normal_f32(<float *>out_view.buf, c_seed, c_start, c_first_dim, c_purpose, c_draw,
                      shape[0], shape[1])
        restore_gil(thread)
    finally:
        PyBuffer_Release(&out_view)
    return out


def mixture(rows, means, scales, thresholds, aliases, *, seed, start, temperature, out):
    """Draw rows of a mixture of diagonal Gaussians; edgevae.sampling.mixture is the public form.

    means, scales  float32 (components, dims), scales = exp(logvar / 2)
    thresholds, aliases  uint32 (components,), an alias table

    Returns float32 (rows, dims). Raises InputError as `normal` does.
    """
    cdef Py_ssize_t[2] shape
    shape[0] = get_integer(rows, "rows", 0, MAX_FLOATS)
    cdef uint64_t c_seed = get_integer(seed, "seed", 0, MAX_UINT64)
    cdef uint64_t c_start = get_integer(start, "start", 0, MAX_UINT64)
    cdef float c_temperature = get_temperature(temperature)
    cdef Py_buffer means_view, scales_view, thresholds_view, aliases_view, out_view
    cdef PyThreadState *thread
    means_view.obj = scales_view.obj = thresholds_view.obj = aliases_view.obj = NULL
    out_view.obj = NULL
    try:
        get_contiguous_view(means, "means", c"f", 2, &means_view)
        get_contiguous_view(scales, "scales", c"f", 2, &scales_view)
        get_contiguous_view(thresholds, "thresholds", c"I", 1, &thresholds_view)
        get_contiguous_view(aliases, "aliases", c"I", 1, &aliases_view)
        require_shape(scales, "scales", &scales_view, means_view.shape, "the shape of means")
        require_shape(thresholds, "thresholds", &thresholds_view, means_view.shape,
                      "one for each row of means")
        require_shape(aliases, "aliases", &aliases_view, means_view.shape,
                      "one for each row of means")
        require_aliases(&aliases_view)
        shape[1] = means_view.shape[1]
        require_countable(shape[0], shape[1], 1)
        out = get_float_output(out, 2, shape, &out_view)
        require_disjoint("out", &out_view, "means", &means_view)
        require_disjoint("out", &out_view, "scales", &scales_view)
        require_disjoint("out", &out_view, "thresholds", &thresholds_view)
        require_disjoint("out", &out_view, "aliases", &aliases_view)
        thread = release_gil(shape[0] * shape[1])
        ev_mixture_f32(<float *>out_view.buf, <float *>means_view.buf, <float *>scales_view.buf,
                       <uint32_t *>thresholds_view.buf, <uint32_t *>aliases_view.buf, c_seed,
                       c_start, c_temperature, means_view.shape[0], shape[0], shape[1])
        restore_gil(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&aliases_view)
        PyBuffer_Release(&thresholds_view)
        PyBuffer_Release(&scales_view)
        PyBuffer_Release(&means_view)
    return out


cdef int require_aliases(Py_buffer *view) except -1:
    """Require every alias to be the index of a component."""
    cdef uint32_t largest = 0
    cdef Py_ssize_t i
    for i in range(view.shape[0]):
        largest = max(largest, (<uint32_t *>view.buf)[i])
    if largest < view.shape[0]:
        return 0
    raise InputError(f"aliases: expected indices below the {view.shape[0]} components, "
                     f"got {largest}")


def scale(logvar):
    """Return exp(logvar / 2) of a float32 (rows, dims) array, logvar clamped to [-30, 20].

    The rounding is that of `reparameterize`, the same on every machine; exp(0) is exactly 1.
    """
    cdef Py_buffer logvar_view, out_view
    logvar_view.obj = out_view.obj = NULL
    try:
        get_contiguous_view(logvar, "logvar", c"f", 2, &logvar_view)
        out = get_float_output(None, 2, logvar_view.shape, &out_view)
        ev_scale_f32(<float *>out_view.buf, <float *>logvar_view.buf, out_view.len // 4)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&logvar_view)
    return out


def reparameterize(mu, logvar, *, seed, start=0, draws=1, out=None):
    """Return z = mu + exp(logvar / 2) * eps, where eps comes from stream 1 and is never stored.

    mu, logvar  float32 (rows, dims), C-contiguous; logvar is the log of the variance, clamped to
        [-30, 20]
    seed, start  in [0, 2**64); row i of mu takes the noise of row start + i (modulo 2**64)
    draws  the number of draws for each row, in [1, 2**24)
    out  float32 of the result's shape, C-contiguous, not overlapping mu and logvar, to be filled
        and returned; None makes a new array

    Returns float32 (rows, dims) if draws is 1, otherwise (draws, rows, dims).
    Raises InputError, before anything is written, if an argument does not fit this description.

    Source: Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.4.
    """
    cdef uint64_t c_seed = get_integer(seed, "seed", 0, MAX_UINT64)
    cdef uint64_t c_start = get_integer(start, "start", 0, MAX_UINT64)
    cdef uint64_t c_draws = get_integer(draws, "draws", 1, MAX_DRAW)
    cdef Py_buffer mu_view, logvar_view, out_view
    cdef Py_ssize_t[3] shape
    cdef int ndim = 2 if c_draws == 1 else 3
    cdef PyThreadState *thread
    mu_view.obj = logvar_view.obj = out_view.obj = NULL
    try:
        get_contiguous_view(mu, "mu", c"f", 2, &mu_view)
        get_contiguous_view(logvar, "logvar", c"f", 2, &logvar_view)
        require_shape(logvar, "logvar", &logvar_view, mu_view.shape, "the shape of mu")
        shape = [<Py_ssize_t>c_draws, mu_view.shape[0], mu_view.shape[1]]
        require_countable(shape[1], shape[2], c_draws)
        out = get_float_output(out, ndim, shape + 3 - ndim, &out_view)
        require_disjoint("out", &out_view, "mu", &mu_view)
        require_disjoint("out", &out_view, "logvar", &logvar_view)
        thread = release_gil(c_draws * shape[1] * shape[2])
        ev_reparameterize_f32(<float *>out_view.buf, <float *>mu_view.buf,
                              <float *>logvar_view.buf, c_seed, c_start, c_draws, shape[1],
                              shape[2])
        restore_gil(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&logvar_view)
        PyBuffer_Release(&mu_view)
    return out


# -- Pixels and rows -------------------------------------------------------------------------------

def pack(x, out=None):
    """Convert float images, channels first, to 8-bit images, channels last.

    x  float32 (N, C, H, W), C-contiguous, in [0, 1]
    out  uint8 (N, H, W, C), writeable, not overlapping x. The pixels of a line must be adjacent;
        lines and images may be strided. None makes a new array

    Returns uint8 (N, H, W, C): floor(255 x + 0.5), so that halves round up; values outside [0, 1]
    are clamped and NaN becomes 0.
    Raises InputError, before anything is written, if an argument does not fit this description.

    Images can be packed directly into a row of a contact sheet (rows * H, columns * W, C):

        row = sheet[r * H : (r + 1) * H].reshape(H, columns, W, C).transpose(1, 0, 2, 3)
        pack(x[r * columns : (r + 1) * columns], out=row)
    """
    cdef Py_buffer x_view, out_view
    cdef Py_ssize_t n, channels, height, width
    cdef Py_ssize_t[4] shape
    cdef PyThreadState *thread
    x_view.obj = out_view.obj = NULL
    try:
        get_contiguous_view(x, "x", c"f", 4, &x_view)
        n, channels, height, width = (x_view.shape[0], x_view.shape[1], x_view.shape[2],
                                      x_view.shape[3])
        if out is None:
            out = new_array((n, height, width, channels), uint8, &out_view)
        else:
            shape = [n, height, width, channels]
            get_output_view(out, c"B", 4, shape, "the shape of x with its channels last",
                            &out_view)
            require_pixel_lines(out, &out_view)
            require_disjoint("out", &out_view, "x", &x_view)
        thread = release_gil(x_view.len // 4)
        ev_pack_f32(<uint8_t *>out_view.buf, <float *>x_view.buf, n, channels, height, width,
                    out_view.strides[0], out_view.strides[1])
        restore_gil(thread)
    finally:
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&x_view)
    return out


# -- Checks ----------------------------------------------------------------------------------------

def is_finite(x):
    """Return True if a float32 array, C-contiguous, holds neither NaN nor infinity.

    Raises InputError for another array.
    """
    cdef float least, most
    get_extremes(x, &least, &most)
    return isfinite(least) and isfinite(most)


def are_rows(x, tuple item_shape, float low, float high):
    """Return True if x needs no conversion: rows (N, *item_shape) of numbers from low to high.

    That is a C-contiguous array of float32 without NaN. Any other object gives False.
    """
    cdef Py_buffer view
    cdef float least, most
    cdef int axis, axes = len(item_shape) + 1
    if PyObject_GetBuffer(x, &view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        return False
    try:
        if not (has_code(&view, c"f") and <uintptr_t>view.buf % 4 == 0 and view.ndim == axes
                and PyBuffer_IsContiguous(&view, c"C")):
            return False
        for axis in range(1, axes):
            if view.shape[axis] != <Py_ssize_t>item_shape[axis - 1]:
                return False
        if view.len == 0:
            return True
        find_extremes(&view, &least, &most)
        return least >= low and most <= high
    finally:
        PyBuffer_Release(&view)


def extremes(x):
    """Return the smallest and the largest number of a float32 array, C-contiguous and not empty.

    At least one of them is NaN or infinite if any number of x is. Raises InputError for another
    array.
    """
    cdef float least, most
    if get_extremes(x, &least, &most) == 0:
        raise InputError(f"x: expected at least one number, got {describe(x)}")
    return least, most


cdef Py_ssize_t get_extremes(object x, float *least, float *most) except -1:
    """Store the extremes of x, which are 0 if x is empty; return how many numbers x has."""
    cdef Py_buffer view
    view.obj = NULL
    least[0] = most[0] = 0
    try:
        get_floats_view(x, "x", &view)
        if view.len != 0:
            find_extremes(&view, least, most)
        return view.len // 4
    finally:
        PyBuffer_Release(&view)


cdef void find_extremes(Py_buffer *view, float *least, float *most) noexcept:
    """Store the extremes of a view of float32 that is not empty."""
    cdef PyThreadState *thread = release_gil(view.len // 4)
    ev_extremes_f32(least, most, <float *>view.buf, view.len // 4)
    restore_gil(thread)


# -- Scores ----------------------------------------------------------------------------------------

def squares(x, y, scale, out):
    """Fill `out` with ((x - y) * scale)^2; return the sum of each item's squares, float64 (N,).

    x, y, out  float32 (N, ...) of one shape, C-contiguous; out is y or overlaps no other array
    scale  float32, C-contiguous: one number, or one for each value of an item

    The bits are the same on every machine; a sum's relative error is at most 4e-6.
    Raises InputError, before anything is written, if an argument does not fit this description.
    """
    cdef Py_buffer x_view, y_view, scale_view, out_view, sums_view
    cdef Py_ssize_t rows, size
    cdef PyThreadState *thread
    x_view.obj = y_view.obj = scale_view.obj = out_view.obj = sums_view.obj = NULL
    try:
        get_floats_view(x, "x", &x_view)
        get_floats_view(y, "y", &y_view)
        get_floats_view(scale, "scale", &scale_view)
        get_floats_view(out, "out", &out_view)
        require_writeable(out, "out", &out_view)
        require_same_shape(y, "y", &y_view, x, "x", &x_view)
        require_same_shape(out, "out", &out_view, x, "x", &x_view)
        require_disjoint("out", &out_view, "x", &x_view)
        if out_view.buf != y_view.buf:
            require_disjoint("out", &out_view, "y", &y_view)
        require_disjoint("out", &out_view, "scale", &scale_view)
        rows = x_view.shape[0] if x_view.ndim != 0 else 0
        size = x_view.len // 4 // rows if rows != 0 else 0
        if rows != 0 and scale_view.len != 4 and scale_view.len != 4 * size:
            raise InputError(f"scale: expected 1 number or {size}, one for each value of an item, "
                             f"got {describe(scale)}")
        sums = new_array((rows,), float64, &sums_view)
        thread = release_gil(x_view.len // 4)
        ev_squares_f32(<double *>sums_view.buf, <float *>out_view.buf, <float *>x_view.buf,
                       <float *>y_view.buf, <float *>scale_view.buf, scale_view.len // 4, rows,
                       size)
        restore_gil(thread)
    finally:
        PyBuffer_Release(&sums_view)
        PyBuffer_Release(&out_view)
        PyBuffer_Release(&scale_view)
        PyBuffer_Release(&y_view)
        PyBuffer_Release(&x_view)
    return sums


MAX_DIRECTIONS = EV_MAX_DIRECTIONS


def distance(x, mean, matrix):
    """Return the norm of (x - mean) @ matrix for each row of x: float64 (N,).

    x  float32 (N, D); mean  float32 (D,)
    matrix  float32 (D, K), K <= MAX_DIRECTIONS; all C-contiguous

    Raises InputError if an argument does not fit this description.
    """
    cdef Py_buffer x_view, mean_view, matrix_view, result_view
    cdef Py_ssize_t[2] shape
    cdef PyThreadState *thread
    x_view.obj = mean_view.obj = matrix_view.obj = result_view.obj = NULL
    try:
        get_contiguous_view(x, "x", c"f", 2, &x_view)
        get_contiguous_view(mean, "mean", c"f", 1, &mean_view)
        get_contiguous_view(matrix, "matrix", c"f", 2, &matrix_view)
        require_shape(mean, "mean", &mean_view, x_view.shape + 1, "that of a row of x")
        shape = [x_view.shape[1], matrix_view.shape[1]]
        require_shape(matrix, "matrix", &matrix_view, shape, "as many rows as x has columns")
        if shape[1] > <Py_ssize_t>EV_MAX_DIRECTIONS:
            raise InputError(f"matrix: expected at most {MAX_DIRECTIONS} columns, got "
                             f"{describe(matrix)}")
        distances = new_array((x_view.shape[0],), float64, &result_view)
        thread = release_gil(x_view.len // 4 * shape[1])
        ev_distance_f32(<double *>result_view.buf, <float *>x_view.buf, <float *>mean_view.buf,
                        <float *>matrix_view.buf, x_view.shape[0], shape[0], shape[1])
        restore_gil(thread)
    finally:
        PyBuffer_Release(&result_view)
        PyBuffer_Release(&matrix_view)
        PyBuffer_Release(&mean_view)
        PyBuffer_Release(&x_view)
    return distances


def divergence(mu, logvar):
    """Return KL(N(mu, exp(logvar)) || N(0, I)) of each item in nats: float64 (N,).

    mu, logvar  float32 (N, ...) of one shape, C-contiguous

    Raises InputError for other arrays. Source: Kingma and Welling 2014, appendix B.
    """
    cdef Py_buffer mu_view, logvar_view, nats_view
    cdef Py_ssize_t rows
    cdef PyThreadState *thread
    mu_view.obj = logvar_view.obj = nats_view.obj = NULL
    try:
        get_floats_view(mu, "mu", &mu_view)
        get_floats_view(logvar, "logvar", &logvar_view)
        require_same_shape(logvar, "logvar", &logvar_view, mu, "mu", &mu_view)
        rows = mu_view.shape[0] if mu_view.ndim != 0 else 0
        nats = new_array((rows,), float64, &nats_view)
        thread = release_gil(mu_view.len // 4)
        ev_divergence_f32(<double *>nats_view.buf, <float *>mu_view.buf, <float *>logvar_view.buf,
                          rows, mu_view.len // 4 // rows if rows != 0 else 0)
        restore_gil(thread)
    finally:
        PyBuffer_Release(&nats_view)
        PyBuffer_Release(&logvar_view)
        PyBuffer_Release(&mu_view)
    return nats


# -- Threads ---------------------------------------------------------------------------------------

def current_core():
    """Return the number of the core that runs the calling thread; None if it is unknown."""
    core = current_core_or_negative()
    return core if core >= 0 else None


# -- Kernels ---------------------------------------------------------------------------------------

def kernels():
    """Return the kernels that run on this CPU, slowest first, and the one in use.

    Returns {"available": [name, ...], "active": name}. The last available kernel is in use unless
    the environment variable EDGEVAE_KERNEL, read at import, names another one.
    """
    cdef size_t i = 0
    names = []
    while ev_kernel_name(i) != NULL:
        names.append(ev_kernel_name(i).decode())
        i += 1
    return {"available": names, "active": ev_kernel().decode()}


def use_kernel(name):
    """Use the kernel with this name from now on; None selects the best one.

    This is for tests and benchmarks: no other thread may be computing at the same time. All
    kernels give the same bits. Raises InputError if no kernel with this name runs on this CPU.
    """
    select_kernel(name, "name")


cdef int select_kernel(object name, str source) except -1:
    cdef bytes encoded
    if name is None:
        return ev_select_kernel(NULL)
    encoded = str(name).encode()
    if ev_select_kernel(encoded) == 0:
        return 0
    raise InputError(f"{source}: expected one of the kernels that run on this CPU, "
                     f"{', '.join(kernels()['available'])}, got {name!r}")


select_kernel(None, "name")
select_kernel(os.environ.get("EDGEVAE_KERNEL") or None, "EDGEVAE_KERNEL")
