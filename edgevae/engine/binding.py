"""Run a session on arrays: the caller's, new ones, or buffers that are kept from call to call.

A call of onnxruntime costs a few microseconds beside its operators, most of them for binding arrays
to inputs and outputs. A `Binding` pays them once; after that, a call copies its rows in and out,
which costs less than binding them as long as they are few.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, npt.NDArray[Any]]

_copy = np.ndarray.copy

# A binding is kept if its buffers have at most this many bytes. Beyond, copying the rows costs more
# than binding the caller's arrays, about 5 microseconds.
_KEPT_BYTES = 1 << 15
# Up to this many bytes of outputs, copying them to the caller's arrays costs less than binding.
_COPIED_BYTES = 1 << 17
# Outputs of at most this many bytes are returned in the memory that onnxruntime allocated. Larger
# ones would make its arena grow, which returns no memory to the system.
_SESSION_BYTES = 1 << 22
# A session keeps bindings of at most this many numbers of rows, and as many of each, which bounds
# the memory to 8 MiB. Each further number of rows replaces all of the oldest.
_KEPT_ROW_COUNTS = 16


class AnyBinding(Protocol):
    """Buffers of a session, which `run` fills and `call` copies; see `Binding`."""

    @property
    def outputs(self) -> Arrays: ...

    def run(self, inputs: Arrays) -> None: ...

    def call(self, inputs: Arrays) -> list[Floats]: ...


class AnyBindings(Protocol):
    """The free bindings of a session; see `Bindings`. `take` returns None if it keeps no more."""

    @property
    def most_rows(self) -> int: ...

    def take(self, rows: int, inputs: Arrays) -> AnyBinding | None: ...

    def give(self, rows: int, binding: AnyBinding) -> None: ...


class Binding:
    """Buffers that are bound to a session's inputs and outputs, for one number of rows.

    `inputs` and `outputs` are the buffers by name. One thread at a time may use a binding.
    """

    def __init__(self, session: Any, inputs: Arrays, outputs: Arrays) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._run = session.run_with_iobinding
        self._bound = _bound(session, inputs, outputs)
        self._results = [*outputs.values()]

    def run(self, inputs: Arrays) -> None:
        """Copy the inputs into their buffers, and fill the output buffers."""
        for name, buffer in self.inputs.items():
            buffer[...] = inputs[name]
        self._run(self._bound)

    def call(self, inputs: Arrays) -> list[Floats]:
        """Return the outputs as new arrays."""
        self.run(inputs)
        return [*map(_copy, self._results)]


class Bindings:
    """The bindings of a session that are free, by number of rows.

    Each number of rows has a list, whose `pop` and `append` are atomic. So there is no lock, which
    a fork could copy while it is held. `most_rows` is the largest number of rows whose binding is
    kept; it is 0 if `keep` is false or the size of an output is unknown (-1).
    """

    def __init__(self, session: Any, inputs: Shapes, outputs: Shapes, *, keep: bool) -> None:
        self._session = session
        self._outputs = outputs
        sizes = [4 * math.prod(shape) for shape in (*inputs.values(), *outputs.values())]
        self.most_rows = _KEPT_BYTES // sum(sizes) if keep and min(sizes) > 0 else 0
        self._free: dict[int, list[AnyBinding]] = {}

    def take(self, rows: int, inputs: Arrays) -> AnyBinding:
        """Return a free binding, or a new one, for inputs of these shapes and dtypes.

        Its caller gives it back by `give`, unless a run failed.
        """
        try:
            return self._free[rows].pop()
        except (KeyError, IndexError):
            # Without the strides of the input: onnxruntime binds a copy of a strided array.
            buffers = {name: np.empty(array.shape, array.dtype) for name, array in inputs.items()}
            return Binding(self._session, buffers, new_arrays(rows, self._outputs))

    def give(self, rows: int, binding: AnyBinding) -> None:
        """Keep a binding for a later call of as many rows."""
        free = self._free.get(rows)
        if free is None:
            free = self._free.setdefault(rows, [])
            if len(self._free) > _KEPT_ROW_COUNTS:
                self._free.pop(next(iter(self._free.copy())), None)
        if len(free) < _KEPT_ROW_COUNTS:
            free.append(binding)


class Direct:
    """Calls of a session that bind their arrays anew, for any number of rows.

    `options` are onnxruntime's options of each run.
    """

    def __init__(self, session: Any, outputs: Shapes, options: Any = None) -> None:
        self._session = session
        self._options = options
        self._outputs = outputs
        self._names = [*outputs]
        self._shapes = [*outputs.values()]
        # The wrapper of Python around this method checks names and dtypes again, which takes more
        # than a microsecond. It has the same arguments.
        self._run = getattr(getattr(session, "_sess", None), "run", session.run)
        row_bytes = 4 * sum(abs(math.prod(shape)) for shape in outputs.values())
        self._copied_rows = _COPIED_BYTES // row_bytes
        self._session_rows = _SESSION_BYTES // row_bytes

    def call(self, inputs: Arrays, rows: int) -> list[Floats]:
        """Return the outputs as new arrays."""
        if rows > self._session_rows:
            outputs = new_arrays(rows, self._outputs)
            run_in_place(self._session, inputs, outputs, self._options)
            return [*outputs.values()]
        results: list[Floats] = self._run(self._names, inputs, self._options)
        for shape, result in zip(self._shapes, results, strict=True):
            if result.shape != (rows, *shape):
                _check_shape("of a call", (rows, *shape), result)
        return results

    def run(self, inputs: Arrays, outputs: Arrays, rows: int) -> None:
        """Fill the caller's arrays."""
        if rows > self._copied_rows:
            run_in_place(self._session, inputs, outputs, self._options)
            return
        results = self._run([*outputs], inputs, self._options)
        for (name, array), result in zip(outputs.items(), results, strict=True):
            copy_same_shape(name, result, array)


def run_in_place(session: Any, inputs: Arrays, outputs: Arrays, options: Any = None) -> None:
    """Run a session from the caller's arrays into the caller's arrays."""
    session.run_with_iobinding(_bound(session, inputs, outputs), options)


def copy_same_shape(name: str, source: Floats, to: Floats) -> None:
    """Copy an output without broadcasting it."""
    _check_shape(name, to.shape, source)
    to[...] = source


def _check_shape(name: str, shape: tuple[int, ...], got: Floats) -> None:
    if got.shape != shape:
        raise ValueError(f"output {name}: expected shape {shape}, got {got.shape}")


def new_arrays(rows: int, shapes: Shapes) -> dict[str, Floats]:
    """Return an array to fill for each output."""
    return {name: np.empty((rows, *shape), np.float32) for name, shape in shapes.items()}


def _bound(session: Any, inputs: Arrays, outputs: Arrays) -> Any:
    bound = session.io_binding()
    for name, array in inputs.items():
        bound.bind_cpu_input(name, array)
    for name, array in outputs.items():
        bound.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return bound
