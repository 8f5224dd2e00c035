"""Keep the inputs and outputs of an accelerator's session from call to call.

Without a kept binding, onnxruntime allocates the inputs of each call on the device, and copies the
outputs into ordinary memory, which CUDA does by way of a small buffer of its own. A `DeviceBinding`
has its inputs on the device at fixed addresses, and receives the outputs in page-locked memory, in
one transfer at the full rate of the bus. The rows are copied to and from page-locked memory outside
the accelerator's turn, so that one worker does so while another one's chunk runs.

The fixed addresses also allow a run to be captured as a graph of the device (onnxruntime's options
`enable_cuda_graph` of CUDA and `enableGraphCapture` of WebGPU), which is launched as a whole. The
outputs stay on the device then, and are copied after the run.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.engine import cuda
from edgevae.engine.binding import AnyBinding, Arrays, Direct, Floats, Shapes
from edgevae.engine.ort import onnxruntime
from edgevae.engine.turns import Turn

# Allocates an array of a shape and a dtype in the host's memory.
Allocate = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]

# A session keeps bindings until their host buffers have this many bytes. They hold as many on the
# device. Other numbers of rows are then run without one, rather than in the place of an older one,
# since page-locked memory is slow to allocate and to free.
_KEPT_BYTES = 128 << 20
# Each captured graph has a binding and a number of its own, which is never used again: CUDA's
# built-in provider does not release a graph.
_GRAPHS = 16
# The number of a run that captures and replays no graph.
_NO_GRAPH = -1

_DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
# The first letters of onnxruntime's names of memory, and its names of their devices.
_DEVICES = {"Cuda": "cuda", "WebGPU": "webgpu", "Cpu": "cpu"}


def without_graph() -> Any:
    """Return the options of a run that captures and replays no graph."""
    return _options(_NO_GRAPH)


def _options(graph: int) -> Any:
    options = onnxruntime().RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options


class DeviceBinding:
    """Buffers of an accelerator's session for one number of rows.

    `staged` are the host's copies of the inputs, and `outputs` are the arrays that the last run
    filled, by name. One thread at a time may use a binding. `graph` is the number of the graph to
    capture; None is for sessions without graphs.
    """

    def __init__(
        self,
        session: Any,
        rows: int,
        inputs: Shapes,
        outputs: Shapes,
        *,
        allocate: Allocate,
        turn: Turn,
        graph: int | None,
    ) -> None:
        self._session = session
        self._turn = turn
        self._options = None if graph is None else _options(graph)
        self._bound = session.io_binding()
        self._values: dict[str, Any] = {}
        self.staged: dict[str, npt.NDArray[Any]] = {}
        types = {port.name: _DTYPES[port.type] for port in session.get_inputs()}
        for name, shape in inputs.items():
            value = _value(session, name, (rows, *shape), types[name])
            self._bound.bind_ortvalue_input(name, value)
            self._values[name] = value
            self.staged[name] = allocate((rows, *shape), types[name])
        self.outputs: dict[str, Floats] = {}
        for name, shape in outputs.items():
            if graph is not None:
                value = _value(session, name, (rows, *shape), np.float32)
                self._bound.bind_ortvalue_output(name, value)
            else:
                array = self.outputs[name] = allocate((rows, *shape), np.float32)
                self._bound.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._output_names = [*outputs]

    def run(self, inputs: Arrays) -> None:
        """Run the session on the inputs when its turn has come; fill `outputs`."""
        for name, buffer in self.staged.items():
            buffer[...] = inputs[name]
        self._turn(self._run)

    def _run(self) -> None:
        for name, value in self._values.items():
            value.update_inplace(self.staged[name])
        self._session.run_with_iobinding(self._bound, self._options)
        if self._options is not None:
            arrays = self._bound.copy_outputs_to_cpu()
            self.outputs = dict(zip(self._output_names, arrays, strict=True))

    def capture(self) -> None:
        """Capture the graph, by a first run."""
        self.run({name: np.zeros_like(array) for name, array in self.staged.items()})

    def call(self, inputs: Arrays) -> list[Floats]:
        """Return the outputs as new arrays."""
        self.run(inputs)
        arrays = [*self.outputs.values()]
        return arrays if self._options is not None else [array.copy() for array in arrays]


class DeviceBindings:
    """The bindings of an accelerator's session that are free, by number of rows.

    A number of rows gets a binding at its second call, so that one that does not recur costs none.
    `inputs` and `outputs` are the shapes of one row, all sizes of which are known. `direct` runs
    the same session without a binding. Each number of rows has a list, whose `pop` and `append`
    are atomic. `way` says in words how the data reaches the device.

    The first binding is tried: an exception of onnxruntime, `MemoryError` or `ValueError` is
    raised if it cannot be made, or does not give what `direct` does.
    """

    def __init__(
        self,
        session: Any,
        inputs: Shapes,
        outputs: Shapes,
        *,
        direct: Direct,
        turn: Turn,
        graphs: bool,
    ) -> None:
        allocate, memory = _host_memory(session)
        self.way = f"its inputs are kept on the device and its outputs come by {memory}"
        if graphs:
            self.way = "its inputs are kept on the device and its runs are captured as graphs"

        def make(rows: int, graph: int | None) -> DeviceBinding:
            return DeviceBinding(
                session, rows, inputs, outputs, allocate=allocate, turn=turn, graph=graph
            )

        self._make = make
        self._turn = turn
        self._graphs = _GRAPHS if graphs else None
        shapes = (*inputs.values(), *outputs.values())
        self._row_bytes = 4 * sum(math.prod(shape) for shape in shapes)
        self._free: dict[int, list[AnyBinding]] = {}
        self._left = _KEPT_BYTES
        self._lock = threading.Lock()
        self.most_rows = _KEPT_BYTES // self._row_bytes
        self._try(outputs, direct, _NO_GRAPH if graphs else None)

    def _try(self, outputs: Shapes, direct: Direct, graph: int | None) -> None:
        """Raise an exception if a binding of one row does not give what `direct` does."""
        binding = self._turn(self._make, 1, graph)
        zeros = {name: np.zeros_like(array) for name, array in binding.staged.items()}
        ones = {name: array + (array.dtype == np.float32) for name, array in zeros.items()}
        binding.run(zeros)
        expected = self._turn(direct.call, ones, 1)
        for name, want, got in zip(outputs, expected, binding.call(ones), strict=True):
            if not np.allclose(got, want, rtol=1e-3, atol=1e-3):
                raise ValueError(f"output {name} of a kept binding differs from a plain call's")

    def take(self, rows: int, inputs: Arrays) -> AnyBinding | None:
        """Return a free binding or a new one; None at the first call, or if no more may be kept.

        Its caller gives it back by `give`, unless a run failed.
        """
        try:
            return self._free[rows].pop()
        except KeyError:
            self._free.setdefault(rows, [])
            return None
        except IndexError:
            return self._new(rows)

    def _new(self, rows: int) -> DeviceBinding | None:
        with self._lock:
            size = rows * self._row_bytes
            if size > self._left or self._graphs == 0:
                return None
            self._left -= size
            graph = self._graphs
            if self._graphs is not None:
                self._graphs -= 1
        try:
            binding = self._turn(self._make, rows, graph)
            if graph is not None:
                binding.capture()
        except Exception:  # onnxruntime's exceptions have no closer base
            self._left = 0  # the memory is used up, or the graph cannot be captured
            return None
        return binding

    def give(self, rows: int, binding: AnyBinding) -> None:
        """Keep a binding for a later call of as many rows."""
        self._free[rows].append(binding)


def on_cuda(session: Any) -> bool:
    """Return True if all inputs and outputs of a session are in the memory of a CUDA device."""
    return {_device(info) for info in _memory_infos(session).values()} == {"cuda"}


def _host_memory(session: Any) -> tuple[Allocate, str]:
    """Return what allocates the host's side of a transfer, and the memory's kind in words."""
    if not on_cuda(session):
        return np.empty, "ordinary memory"
    device_id = next(iter(_memory_infos(session).values())).device_id
    return functools.partial(cuda.page_locked, device_id=device_id), "page-locked memory"


def _value(session: Any, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """Return a value of onnxruntime in the memory where a session has an input or output."""
    info = _memory_infos(session)[name]
    device = _device(info)
    if device == "webgpu":  # whose memory belongs to a session
        return session.create_ortvalue_from_shape_and_type(shape, dtype, device, info.device_id)
    create = onnxruntime().OrtValue.ortvalue_from_shape_and_type
    return create(shape, dtype, device, info.device_id)


def _memory_infos(session: Any) -> dict[str, Any]:
    """Return onnxruntime's descriptions of memory by the names of inputs and outputs.

    onnxruntime before 1.23 has none.
    """
    if not hasattr(session, "get_input_memory_infos"):
        return {}
    ports = (*session.get_inputs(), *session.get_outputs())
    infos = (*session.get_input_memory_infos(), *session.get_output_memory_infos())
    return {port.name: info for port, info in zip(ports, infos, strict=True)}


def _device(info: Any) -> str | None:
    """Return onnxruntime's name of the device of a memory; None if it is not known here."""
    return next((d for name, d in _DEVICES.items() if info.name.startswith(name)), None)
