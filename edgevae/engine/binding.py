"""Run a session on arrays: the caller's, new ones, or buffers that are kept from call to call.

A call of onnxruntime costs a few microseconds beside its operators, most of them for binding arrays
to inputs and outputs. A `Binding` pays them once; after that, a call copies its rows in and out,
which costs less than binding them as long as they are few.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]
Arrays = Mapping[str, npt.NDArray[Any]]

# A binding is kept if its buffers have at most this many bytes. Beyond, copying the rows costs more
# than binding the caller's arrays, about 5 microseconds.
_KEPT_BYTES = 1 << 16
# Outputs of at most this many bytes are returned in the memory that onnxruntime allocated for them.
# Larger ones would make its arena grow, which returns no memory to the system.
_SESSION_BYTES = 1 << 20
# A session keeps bindings of at most this many numbers of rows, and as many of each, which bounds
# the memory to 16 MiB. Each further number of rows replaces all of the oldest.
_KEPT_ROW_COUNTS = 16


class Binding:
    """Buffers that are bound to a session's inputs and outputs, for one number of rows.

    `inputs` and `outputs` are the buffers by name. One thread at a time may use a binding.
    """

    def __init__(self, session: Any, inputs: Arrays, outputs: Arrays) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._run = session.run_with_iobinding
        self._bound = _bound(session, inputs, outputs)

    def run(self, inputs: Arrays) -> None:
        """Copy the inputs into their buffers, and fill the output buffers."""
        for name, buffer in self.inputs.items():
            buffer[...] = inputs[name]
        self._run(self._bound)


class Bindings:
    """The bindings of a session that are free, by number of rows.

    Each number of rows has a list, whose `pop` and `append` are atomic. So there is no lock, which
    a fork could copy while it is held. `most_rows` is the largest number of rows whose binding is
    kept; it is 0 if `keep` is false or the size of an output is unknown (-1).
    """

    def __init__(self, session: Any, inputs: Shapes, outputs: Shapes, *, keep: bool) -> None:
        self._session = session
        self._outputs = outputs
        sizes = [math.prod(shape) for shape in (*inputs.values(), *outputs.values())]
        self.most_rows = _KEPT_BYTES // (4 * sum(sizes)) if keep and min(sizes) > 0 else 0
        self._free: dict[int, list[Binding]] = {}

    def take(self, rows: int, inputs: Arrays) -> Binding:
        """Return a free binding, or a new one, for inputs of these shapes and dtypes.

        Its caller gives it back by `give`, unless a run failed.
        """
        try:
            return self._free[rows].pop()
        except (KeyError, IndexError):
            buffers = {name: np.empty_like(array) for name, array in inputs.items()}
            return Binding(self._session, buffers, new_arrays(rows, self._outputs))

    def give(self, rows: int, binding: Binding) -> None:
        """Keep a binding for a later call of as many rows."""
        free = self._free.get(rows)
        if free is None:
            free = self._free.setdefault(rows, [])
            if len(self._free) > _KEPT_ROW_COUNTS:
                self._free.pop(next(iter(self._free.copy())), None)
        if len(free) < _KEPT_ROW_COUNTS:
            free.append(binding)


def run_in_place(session: Any, inputs: Arrays, outputs: Arrays) -> None:
    """Run a session from the caller's arrays into the caller's arrays."""
    session.run_with_iobinding(_bound(session, inputs, outputs))


def run_and_return(session: Any, inputs: Arrays, rows: int, shapes: Shapes) -> list[Floats]:
    """Return the outputs of a session, of these shapes, as new arrays."""
    if 4 * rows * sum(map(math.prod, shapes.values())) > _SESSION_BYTES:
        outputs = new_arrays(rows, shapes)
        run_in_place(session, inputs, outputs)
        return list(outputs.values())
    results: list[Floats] = session.run([*shapes], inputs)
    for (name, shape), result in zip(shapes.items(), results, strict=True):
        _check_shape(name, (rows, *shape), result)
    return results


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
