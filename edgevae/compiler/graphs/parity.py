"""Whether two graphs compute the same, to 1e-5."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import class_input as classes
from edgevae.compiler.graphs import cpu_session as on_cpu
from edgevae.engine import onnxruntime
from edgevae.errors import InputError

LIMIT = 1e-5  # of the output's largest value where that exceeds 1
BATCHES = (1, 2, 7)

Floats = npt.NDArray[np.float32]


class Runner:
    """A graph of one float32 input, and maybe class numbers, run on the CPU by onnxruntime.

    With `exactly`, onnxruntime optimises nothing: the graph as it was written is what is right.
    `rows` is the batch that the graph insists on, None where it takes any.
    """

    def __init__(self, graph: bytes | ir.Model, where: str, *, exactly: bool = False) -> None:
        data = graph if isinstance(graph, bytes) else ir.to_proto(graph).SerializeToString()
        try:
            self._session = on_cpu.session(data, exactly=exactly)
        except Exception as error:  # onnxruntime's exceptions have no other base
            raise InputError(
                f"{where}: onnxruntime {onnxruntime().__version__} cannot open this graph: {error}"
            ) from error
        self._where = where
        port = self._session.get_inputs()[0]
        self.rows = port.shape[0] if isinstance(port.shape[0], int) else None
        self.outputs = [port.name for port in self._session.get_outputs()]

    def answers(self, items: Floats) -> "Answers":
        """What it makes of `items`, whose rows must not depend on each other."""
        return Answers(items, self.run(items))

    def run(self, items: Floats, y: classes.Numbers | None = None) -> list[Floats]:
        """The outputs for `items`, any number of rows, in blocks of the batch that is insisted on.

        A graph that asks for classes is told y, int64 (N,), or for None those of `classes.of`.
        Raises `InputError` where onnxruntime fails, or where an output has other rows.
        """
        rows = self.rows or len(items)
        stretches = [slice(first, first + rows) for first in range(0, len(items), rows)]
        blocks = [
            self._block(items[stretch], rows, None if y is None else y[stretch])
            for stretch in stretches
        ]
        return [np.concatenate(parts)[: len(items)] for parts in zip(*blocks, strict=True)]

    def classes_of(self, items: Floats) -> classes.Numbers | None:
        """The classes that it is told of `items` where nobody says; None where it asks for none."""
        return classes.feeds(self._session, items).get("y")

    def _block(self, items: Floats, rows: int, y: classes.Numbers | None) -> list[Floats]:
        full = np.arange(rows) % len(items)
        inputs = classes.feeds(self._session, items[full], None if y is None else y[full])
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


class Answers(NamedTuple):
    """What a graph makes of `items`, to hold others to: one array (N, ...) for each output."""

    items: Floats
    outputs: list[Floats]

    def difference(self, other: Runner) -> float:
        """The largest `error` of any output of another graph, at batches of 1, 2 and 7."""
        return max(
            error(expected[rows], got)
            for rows in batches(len(self.items))
            for expected, got in zip(self.outputs, other.run(self.items[rows]), strict=True)
        )


def error(expected: Floats, got: Floats) -> float:
    """The largest difference, relative to the largest value expected where that exceeds 1.

    Another shape, or NaN in one of them, is an infinite error.
    """
    if expected.shape != got.shape:
        return np.inf
    largest = float(np.abs(expected - got).max()) / max(1.0, float(np.abs(expected).max()))
    return largest if largest >= 0 else np.inf


def batches(count: int) -> Iterator[slice]:
    """Batches of each size, one after the other, each row in at most one of each size."""
    for rows in BATCHES:
        for first in range(0, count - rows + 1, rows):
            yield slice(first, first + rows)
