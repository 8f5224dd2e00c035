"""Run graphs on onnxruntime's CPU provider and compare what they compute, to 1e-5."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import class_input, cpu_session
from edgevae.engine import onnxruntime
from edgevae.errors import InputError

LIMIT = 1e-5  # of the output's largest value where that exceeds 1
BATCHES = (1, 2, 7)

Floats = npt.NDArray[np.float32]


class CheckSession:
    """A graph of one float32 input, and optionally class numbers, run on the CPU by onnxruntime.

    With `exactly`, onnxruntime optimises nothing, so that the graph runs as it is written; the
    reference that other graphs are compared with is opened so. `rows` is the only batch size
    that the graph takes, None if it takes any.
    """

    def __init__(self, graph: bytes | ir.Model, where: str, *, exactly: bool = False) -> None:
        data = graph if isinstance(graph, bytes) else ir.to_proto(graph).SerializeToString()
        try:
            self._session = cpu_session.session(data, exactly=exactly)
        except Exception as error:  # onnxruntime's exceptions have no other base
            raise InputError(
                f"{where}: onnxruntime {onnxruntime().__version__} cannot open this graph: {error}"
            ) from error
        self._where = where
        port = self._session.get_inputs()[0]
        self.rows = port.shape[0] if isinstance(port.shape[0], int) else None
        self.outputs = [port.name for port in self._session.get_outputs()]

    def expected(self, items: Floats) -> "Expected":
        """Return the outputs for `items`, whose rows must not depend on each other."""
        return Expected(items, self.run(items))

    def run(self, items: Floats, y: class_input.Numbers | None = None) -> list[Floats]:
        """Return the outputs for any number of items, in blocks of `self.rows` if that is not None.

        A conditional graph gets the class numbers y, int64 (N,); for None, those of
        `class_input.pseudo_random`. Raises `InputError` if onnxruntime fails, or if an output
        has another number of rows.
        """
        rows = self.rows or len(items)
        blocks = [slice(first, first + rows) for first in range(0, len(items), rows)]
        outputs = [
            self._run_block(items[block], rows, None if y is None else y[block]) for block in blocks
        ]
        return [np.concatenate(parts)[: len(items)] for parts in zip(*outputs, strict=True)]

    def classes_of(self, items: Floats) -> class_input.Numbers | None:
        """Return the class numbers that `run` uses by default; None for a graph without them."""
        return class_input.feeds(self._session, items).get("y")

    def _run_block(self, items: Floats, rows: int, y: class_input.Numbers | None) -> list[Floats]:
        full = np.arange(rows) % len(items)
        inputs = class_input.feeds(self._session, items[full], None if y is None else y[full])
        try:
            outputs: list[Any] = self._session.run(None, inputs)
        except Exception as error:
            raise InputError(
                f"{self._where}: onnxruntime cannot run this graph on a batch of {rows}: {error}"
            ) from error
        for name, output in zip(self.outputs, outputs, strict=True):
            if output.shape[:1] != (rows,):
                raise InputError(
                    f"{self._where}: expected {name} to have a row for each of {rows} items, got "
                    f"shape {output.shape}; the batch must be the first axis of every output"
                )
        return outputs


class Expected:
    """The reference's outputs for `items`: one array (N, ...) for each output."""

    def __init__(self, items: Floats, outputs: list[Floats]) -> None:
        self.items, self.outputs = items, outputs
        self._differences: dict[bytes, float] = {}

    def difference(self, other: CheckSession) -> float:
        """Return the largest `relative_error` of any output at batches of 1, 2 and 7."""
        return max(
            relative_error(expected[rows], got)
            for rows in batches(len(self.items))
            for expected, got in zip(self.outputs, other.run(self.items[rows]), strict=True)
        )

    def difference_of(self, graph: bytes, where: str) -> float:
        """Return the `difference` of a graph; equal graphs are run once."""
        key = hashlib.sha256(graph).digest()
        if key not in self._differences:
            self._differences[key] = self.difference(CheckSession(graph, where))
        return self._differences[key]


def relative_error(expected: Floats, got: Floats) -> float:
    """Return the largest difference, relative to the largest value expected where that exceeds 1.

    Another shape, or NaN in one of them, is an infinite error.
    """
    if expected.shape != got.shape:
        return np.inf
    largest = float(np.abs(expected - got).max()) / max(1.0, float(np.abs(expected).max()))
    return largest if largest >= 0 else np.inf


def batches(count: int) -> Iterator[slice]:
    """Yield batches of each size in turn; each row is in at most one batch of each size."""
    for rows in BATCHES:
        for first in range(0, count - rows + 1, rows):
            yield slice(first, first + rows)
