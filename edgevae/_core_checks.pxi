# The checks of arguments. Each one raises InputError, with the argument's name, what was expected,
# what was passed and how to fix it, and none writes to an array.
#
# A `Py_buffer` is a view of an array's memory. The caller sets its obj to NULL first and releases
# it in `finally`; releasing a view that was never taken does nothing.

cdef uint64_t MAX_UINT64 = 0xFFFFFFFFFFFFFFFF     # the largest seed and the largest start
cdef uint64_t MAX_FLOATS = PY_SSIZE_T_MAX // 4    # the most float32 numbers in one array
cdef uint64_t MAX_DIMS = 1 << 34                  # four dimensions in each of 2**32 Philox blocks
cdef uint64_t MAX_PURPOSE = (1 << 8) - 1          # purpose and draw share a word of the counter
cdef uint64_t MAX_DRAW = (1 << 24) - 1


# -- Numbers ---------------------------------------------------------------------------------------

cdef str describe(object value):
    """Return the text that stands for `value` in an error message."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is None or shape is None:
        return f"{value!r:.60} ({type(value).__name__})"
    return f"{type(value).__name__} of {dtype}, shape {tuple(shape)}"


cdef uint64_t get_integer(object value, str name, uint64_t low,
                          uint64_t high) except? 0xFFFFFFFFFFFFFFFF:
    """Return an int in [low, high]; NumPy's integers are accepted, bool and float are not."""
    cdef uint64_t number
    if PyLong_CheckExact(value):
        number = PyLong_AsUnsignedLongLong(value)
        if number == MAX_UINT64 and PyErr_Occurred() != NULL:
            PyErr_Clear()
        elif low <= number <= high:
            return number
    elif not isinstance(value, bool):
        try:
            return get_integer(int(operator.index(value)), name, low, high)
        except TypeError:
            pass
    raise InputError(f"{name}: expected an int from {low} to {high}, got {describe(value)}")


cdef float get_temperature(object temperature) except -1:
    cdef float number
    if isinstance(temperature, (int, float, numpy.integer, numpy.floating)):
        number = temperature
        if number >= 0 and isfinite(number):
            return number
    raise InputError("temperature: expected a finite number, 0 or more, got "
                     f"{describe(temperature)}; 1.0 is the prior itself")


cdef int require_countable(uint64_t rows, uint64_t dims, uint64_t draws) except -1:
    """Require that the result's size in bytes fits an address."""
    if rows == 0 or dims == 0 or (
            rows <= MAX_FLOATS // dims and draws <= MAX_FLOATS // dims // rows):
        return 0
    raise InputError(f"rows: expected at most {MAX_FLOATS} numbers in all, got {draws} draws x "
                     f"{rows} rows x {dims} dims; draw fewer rows in each call and pass start")


# -- Arrays ----------------------------------------------------------------------------------------

cdef int get_view(object array, str name, char code, int ndim, Py_buffer *view) except -1:
    """Take a view of `array`; require the dtype (a struct code) and the number of axes."""
    cdef str dtype
    if PyObject_GetBuffer(array, view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        view.obj = NULL
    elif has_code(view, code) and view.ndim == ndim:
        if <uintptr_t>view.buf % <size_t>view.itemsize == 0:
            return 0
        raise InputError(f"{name}: expected memory aligned to {view.itemsize} bytes, got address "
                         f"{<uintptr_t>view.buf:#x}; pass {name}.copy()")
    dtype = {b"f": "float32", b"B": "uint8", b"I": "uint32"}[bytes([code])]
    raise InputError(f"{name}: expected a {dtype} array with {ndim} axes in native byte order, got "
                     f"{describe(array)}; numpy.asarray({name}, dtype={dtype!r}) converts, "
                     f".reshape sets the axes")


cdef int get_contiguous_view(object array, str name, char code, int ndim,
                             Py_buffer *view) except -1:
    get_view(array, name, code, ndim, view)
    return require_contiguous(array, name, view)


cdef int get_floats_view(object array, str name, Py_buffer *view) except -1:
    """Take a view of a C-contiguous float32 array with any number of axes."""
    if PyObject_GetBuffer(array, view, PyBUF_RECORDS_RO) != 0:
        PyErr_Clear()
        view.obj = NULL
    elif has_code(view, c"f") and <uintptr_t>view.buf % 4 == 0:
        return require_contiguous(array, name, view)
    raise InputError(f"{name}: expected an aligned float32 array in native byte order, got "
                     f"{describe(array)}; numpy.ascontiguousarray({name}, 'float32') makes one")


cdef inline bint has_code(Py_buffer *view, char code) noexcept:
    """Compare the view's format with a struct code, such as "f" for float32."""
    cdef const char *format = view.format
    if format == NULL:
        return False
    if format[0] == c"=":  # NumPy's prefix for unaligned memory: native byte order, standard sizes
        format += 1
    # uint32 is an `unsigned long` where a long has four bytes.
    return (format[0] == code or (code == c"I" and format[0] == c"L" and view.itemsize == 4)) \
        and format[1] == 0


cdef int require_contiguous(object array, str name, Py_buffer *view) except -1:
    if PyBuffer_IsContiguous(view, c"C"):
        return 0
    raise InputError(f"{name}: expected a C-contiguous array, got {describe(array)} with strides "
                     f"{tuple([view.strides[i] for i in range(view.ndim)])}; "
                     f"pass numpy.ascontiguousarray({name})")


cdef int require_writeable(object array, str name, Py_buffer *view) except -1:
    if not view.readonly:
        return 0
    raise InputError(f"{name}: expected a writeable array, got a read-only {describe(array)}; "
                     f"pass {name}.copy() or leave {name} out")


cdef int require_shape(object array, str name, Py_buffer *view, Py_ssize_t *shape,
                       str meaning) except -1:
    cdef int i
    for i in range(view.ndim):
        if view.shape[i] != shape[i]:
            expected = tuple([shape[i] for i in range(view.ndim)])
            raise InputError(f"{name}: expected shape {expected}, {meaning}, got {describe(array)}")
    return 0


cdef int require_same_shape(object array, str name, Py_buffer *view, object other, str other_name,
                            Py_buffer *other_view) except -1:
    cdef int axis
    cdef bint same = view.ndim == other_view.ndim
    for axis in range(view.ndim if same else 0):
        same = same and view.shape[axis] == other_view.shape[axis]
    if same:
        return 0
    raise InputError(f"{name}: expected the shape of {other_name}, {describe(other)}, got "
                     f"{describe(array)}")


cdef int require_pixel_lines(object out, Py_buffer *view) except -1:
    """Require adjacent pixels, and lines and images (N, H, W, C) that do not overlap."""
    cdef Py_ssize_t *shape = view.shape
    cdef Py_ssize_t *strides = view.strides
    cdef Py_ssize_t line = shape[2] * shape[3]
    cdef Py_ssize_t item_step = abs(strides[0])
    cdef Py_ssize_t line_step = abs(strides[1])
    if view.len == 0:
        return 0
    if (shape[3] == 1 or strides[3] == 1) and (shape[2] == 1 or strides[2] == shape[3]):
        # Either image follows image, or the lines of several images lie side by side.
        if (shape[1] == 1 or line_step >= line) and (shape[0] == 1 or item_step >= line):
            if shape[0] == 1 or item_step >= (shape[1] - 1) * line_step + line:
                return 0
            if shape[1] == 1 or line_step >= (shape[0] - 1) * item_step + line:
                return 0
    raise InputError(f"out: expected adjacent pixels (strides {shape[3]} and 1 on the last two "
                     f"axes) in lines that do not overlap, got {describe(out)} with strides "
                     f"{tuple([strides[i] for i in range(4)])}; leave out out for a new array")


# -- Overlaps --------------------------------------------------------------------------------------

cdef int require_disjoint(str name, Py_buffer *out, str other, Py_buffer *view) except -1:
    """Require an output that shares no byte with an input, which a kernel may read later."""
    cdef uintptr_t out_first, out_end, first, end
    get_byte_range(out, &out_first, &out_end)
    get_byte_range(view, &first, &end)
    if out.len == 0 or view.len == 0 or out_end <= first or end <= out_first:
        return 0
    raise InputError(f"{name}: expected memory that does not overlap {other}, got an array that "
                     f"overlaps it; pass a new array for {name}")


cdef void get_byte_range(Py_buffer *view, uintptr_t *first, uintptr_t *end) noexcept:
    """Store the addresses of a view's first byte and of the byte after its last."""
    cdef int i
    first[0] = <uintptr_t>view.buf
    end[0] = first[0] + view.itemsize
    for i in range(view.ndim):
        if view.strides[i] < 0:
            first[0] += (view.shape[i] - 1) * view.strides[i]
        else:
            end[0] += (view.shape[i] - 1) * view.strides[i]


# -- Results ---------------------------------------------------------------------------------------

cdef object numpy_empty = numpy.empty
cdef object float64 = numpy.dtype(numpy.float64)
cdef object float32 = numpy.dtype(numpy.float32)
cdef object uint8 = numpy.dtype(numpy.uint8)


cdef object new_array(tuple shape, object dtype, Py_buffer *view):
    """Return a new array and take a view of it, without its format, which would take time."""
    array = PyObject_CallFunctionObjArgs(numpy_empty, <PyObject *>shape, <PyObject *>dtype, NULL)
    if PyObject_GetBuffer(array, view, PyBUF_STRIDED) != 0:
        PyErr_Clear()
        view.obj = NULL
        raise BufferError("expected memory from numpy.empty, got none")
    return array


cdef int get_output_view(object out, char code, int ndim, Py_ssize_t *shape, str meaning,
                         Py_buffer *view) except -1:
    """Take a view of the caller's `out`; require the dtype, the shape and that it is writeable."""
    get_view(out, "out", code, ndim, view)
    require_writeable(out, "out", view)
    return require_shape(out, "out", view, shape, meaning)


cdef object get_float_output(object out, int ndim, Py_ssize_t *shape, Py_buffer *view):
    """Return a float32 array of 2 or 3 axes to write to, and take a view of it.

    The array is `out`, checked, or a new one if `out` is None.
    """
    if out is not None:
        get_output_view(out, c"f", ndim, shape,
                        "(rows, dims)" if ndim == 2 else "(draws, rows, dims)", view)
        require_contiguous(out, "out", view)
        return out
    if ndim == 2:
        return new_array((shape[0], shape[1]), float32, view)
    return new_array((shape[0], shape[1], shape[2]), float32, view)
