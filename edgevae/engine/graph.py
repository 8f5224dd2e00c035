"""Run the graph of one role, which is opened on first use, into the caller's arrays."""

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgevae.bundle import Bundle, GraphEntry
from edgevae.engine import gate
from edgevae.engine.binding import (
    AnyBindings,
    Arrays,
    Bindings,
    Direct,
    Floats,
    Shapes,
    copy_same_shape,
)
from edgevae.engine.device_binding import DeviceBindings, on_cuda, without_graph
from edgevae.engine.providers import Choice, Preference, captures_graphs, device_type, names
from edgevae.engine.session import nodes, open_session
from edgevae.engine.targets import targets
from edgevae.engine.tuned import UNTUNED, Tuning
from edgevae.engine.turns import Turn, at_once, in_one_thread, locked
from edgevae.errors import BundleError, ProviderError

# The dtype of a port, and onnxruntime's name of it. Only class numbers are not floats.
_FLOATS = "float32", "tensor(float)"
_TYPES = {"y": ("int64", "tensor(int64)")}


class Placement(NamedTuple):
    """The providers that run a graph, and why.

    `provider` has the short names of the providers in use, in their order. `nodes` has the number
    of nodes that each provider took; the CPU takes those that no other does. It is None if
    onnxruntime does not tell (see `session.nodes`).
    """

    provider: str
    nodes: Mapping[str, int] | None
    why: str

    def __str__(self) -> str:
        """Return the placement as "24 nodes on openvino, 2 nodes on cpu (asked for by name)"."""
        if self.nodes is None:
            return f"an unknown number of nodes on {self.provider} ({self.why})"
        nodes = ", ".join(f"{count} nodes on {name}" for name, count in self.nodes.items())
        return f"{nodes} ({self.why})"


class _Opened(NamedTuple):
    session: Any
    entry: GraphEntry
    provider: str
    why: str
    bindings: AnyBindings
    direct: Direct
    turn: Turn  # an accelerator runs one batch at a time


class Graph:
    """The graph of a role, opened with the first choice of a preference that works.

    The file is that of the bundle's entry for the precision and the providers of the choice, of the
    target in `tuning` if that has one.
    `inputs` and `outputs` map the names that the graph must have to their shapes without the
    batch axis, where -1 is any size. All are float32 except y, the class numbers, int64. Threads
    may share a graph. A forked process opens its own sessions.
    """

    def __init__(
        self,
        bundle: Bundle,
        role: str,
        preference: Preference,
        *,
        inputs: Shapes,
        outputs: Shapes,
        precision: str = "float32",
        tuning: Tuning = UNTUNED,
    ) -> None:
        self._bundle = bundle
        self._role = role
        self._preference = preference
        self.inputs = inputs
        self.outputs = outputs
        self._precision = precision
        self._tuning = tuning
        # By number of threads. There is no lock, which a fork could copy while it is held: two
        # threads that open the same session at the same time waste one.
        self._sessions: dict[int, _Opened] = {}
        self._accelerator = threading.Lock()
        _graphs.add(self)

    @property
    def entry(self) -> GraphEntry:
        """The bundle's entry of the file in use.

        Reading it opens a session of one thread, unless one is open or there is only one choice.
        """
        first, *others = self._preference.choices
        if not others:
            return self._entry(first)
        opened = next(iter(self._sessions.values()), None)
        return (opened or self._opened(1)).entry

    def open(self, threads: int) -> str:
        """Open a session with `threads` threads for operators; return its provider's name."""
        return self._opened(threads).provider

    def placement(self, threads: int) -> Placement:
        """Open a session as `open` does; return the nodes by provider."""
        opened = self._opened(threads)
        return Placement(opened.provider, nodes(opened.session), opened.why)

    def size(self, output: str, threads: int) -> int:
        """Open a session as `open` does; return the size of an output's last axis."""
        session, entry, *_ = self._opened(threads)
        size = next(port.shape[-1] for port in session.get_outputs() if port.name == output)
        if not isinstance(size, int):
            raise BundleError(
                f"{self._file(entry)}: expected {output} to have a last axis of a fixed size, got "
                f"{size!r}; export the bundle again"
            )
        return size

    def call(self, inputs: Arrays, rows: int, *, threads: int) -> list[Floats]:
        """Return new arrays of the outputs, in their order, of one call for all rows.

        Every input is C-contiguous and has `rows` >= 1 rows.
        """
        opened = self._sessions.get(threads) or self._opened(threads)
        try:
            gate.enter(None)
            bindings = opened.bindings
            if rows <= bindings.most_rows and (binding := bindings.take(rows, inputs)) is not None:
                results = binding.call(inputs)
                bindings.give(rows, binding)
                return results
            return opened.turn(opened.direct.call, inputs, rows)
        except Exception as error:
            raise self._failure(opened, error) from error
        finally:
            gate.leave()

    def run(self, inputs: Arrays, outputs: Mapping[str, Floats], *, threads: int) -> None:
        """Fill `outputs` in place. Every array is C-contiguous and has at least one row."""
        opened = self._sessions.get(threads) or self._opened(threads)
        rows = len(next(iter(inputs.values())))
        try:
            gate.enter(None)
            bindings = opened.bindings
            if rows <= bindings.most_rows and (binding := bindings.take(rows, inputs)) is not None:
                binding.run(inputs)
                for name, buffer in binding.outputs.items():
                    copy_same_shape(name, buffer, outputs[name])
                bindings.give(rows, binding)
                return
            opened.turn(opened.direct.run, inputs, outputs, rows)
        except Exception as error:
            raise self._failure(opened, error) from error
        finally:
            gate.leave()

    def apply(
        self, inputs: Arrays, rows: int, use: Callable[[list[Floats]], object], *, threads: int
    ) -> None:
        """Call `use` with the outputs, in their order, of one call for all rows.

        They are valid until `use` returns: the next call may fill the same memory.
        """
        opened = self._sessions.get(threads) or self._opened(threads)
        try:
            gate.enter(None)
            bindings = opened.bindings
            binding = bindings.take(rows, inputs) if rows <= bindings.most_rows else None
            if binding is not None:
                binding.run(inputs)
                results = [*binding.outputs.values()]
            else:
                results = opened.turn(opened.direct.call, inputs, rows)
        except Exception as error:
            raise self._failure(opened, error) from error
        finally:
            gate.leave()
        use(results)
        if binding is not None:
            bindings.give(rows, binding)

    def _failure(self, opened: _Opened, error: Exception) -> ProviderError:
        return ProviderError(
            f"{self._file(opened.entry)}: provider {opened.provider!r} failed to run this graph: "
            f"{error}; `edgevae verify` shows whether the bundle runs here at all"
        )

    def _opened(self, threads: int) -> _Opened:
        if threads not in self._sessions:
            try:
                gate.enter(None)
                self._sessions.setdefault(threads, self._open_first(threads))
            finally:
                gate.leave()
        return self._sessions[threads]

    def _open_first(self, threads: int) -> _Opened:
        why = self._preference.why
        *preferred, last = self._preference.choices
        for choice in preferred:
            try:
                return self._open(choice, threads, why)
            except ProviderError as error:
                why += f"; {error}"
        return self._open(last, threads, why)

    def _open(self, choice: Choice, threads: int, why: str) -> _Opened:
        entry = self._entry(choice)
        path = self._file(entry)
        session = open_session(path, choice, precision=self._precision, threads=threads)
        _check_ports(path, "input", session.get_inputs(), self.inputs)
        _check_ports(path, "output", session.get_outputs(), self.outputs)
        provider = names(choice)
        graphs = captures_graphs(choice)
        direct = Direct(session, self.outputs, without_graph() if graphs else None)
        kept = Bindings(session, self.inputs, self.outputs, keep=provider == "cpu")
        if device_type(choice) == "CPU":
            return _Opened(session, entry, provider, why, kept, direct, at_once)
        # An accelerator runs one batch at a time; some (DirectML) break if two are sent.
        turn = in_one_thread() if graphs else locked(self._accelerator)
        opened = _Opened(session, entry, provider, why, kept, direct, turn)
        return self._bind_device(opened, graphs) if graphs or on_cuda(session) else opened

    def _bind_device(self, opened: _Opened, graphs: bool) -> _Opened:
        """Return an accelerator's session with kept bindings, unless it refuses them."""
        session, turn, direct = opened.session, opened.turn, opened.direct
        if any(-1 in shape for shape in self.outputs.values()):
            return opened
        try:
            bindings = DeviceBindings(
                session, self.inputs, self.outputs, direct=direct, turn=turn, graphs=graphs
            )
        except Exception as error:  # onnxruntime's exceptions have no closer base
            why = f"its inputs and outputs are allocated for each call: {error}"
            return opened._replace(why=f"{opened.why}; {why}")
        return opened._replace(bindings=bindings, why=f"{opened.why}; {bindings.way}")

    def _entry(self, choice: Choice) -> GraphEntry:
        provider = names(choice)
        tuned = self._tuning.plan(provider, self._precision, self._role)
        preferred = (tuned.target,) if tuned else ()
        return self._bundle.graph(self._role, self._precision, (*preferred, *targets(provider)))

    def _file(self, entry: GraphEntry) -> Path:
        return self._bundle.path / entry.file


_graphs: weakref.WeakSet[Graph] = weakref.WeakSet()


def _abandon_sessions() -> None:
    """Drop the parent's sessions in a forked child, where their threads do not exist.

    Running such a session would wait for its threads for ever, and so would its destructor, which
    hung children at their exit. So the sessions and their bindings are never destroyed.
    """
    import ctypes

    for graph in _graphs:
        for opened in graph._sessions.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(opened))
        graph._sessions.clear()
        graph._accelerator = threading.Lock()  # a thread of the parent may hold the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_sessions)


def _check_ports(path: Path, side: str, ports: Iterable[Any], expected: Shapes) -> None:
    """Raise `BundleError` for a graph with other ports than expected."""
    got = {port.name: port for port in ports}
    if (side == "input" and set(got) != set(expected)) or not set(got) >= set(expected):
        raise BundleError(
            f"{path}: expected {side} {', '.join(expected)}, got {', '.join(got)}; "
            f"export the bundle again"
        )
    for name, shape in expected.items():
        batch, *dims = got[name].shape or [None]
        fits = len(dims) == len(shape) and all(
            not isinstance(dim, int) or size in (dim, -1)
            for dim, size in zip(dims, shape, strict=True)
        )
        dtype, ort_type = _TYPES.get(name, _FLOATS)
        if got[name].type != ort_type or isinstance(batch, int) or not fits:
            raise BundleError(
                f"{path}: expected {side} {name} to be {dtype} of shape (any, "
                f"{', '.join(map(str, shape))}), got {got[name].type} of shape "
                f"{got[name].shape}; export the bundle again"
            )
