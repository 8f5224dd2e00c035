"""Class numbers for conditional decoders, wherever the compiler runs one.

A graph with the input y holds the number of its classes in its metadata. The class of a row is a
function of the row's bits, so that it is the same in any batch and for any rewritten graph.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

KEY = "classes"


def mark(model: ir.Model, count: int) -> None:
    """Store the number of classes in a graph's metadata."""
    model.metadata_props[KEY] = str(count)


def keep(source: ir.Model, model: ir.Model) -> None:
    """Copy the number of classes from one graph's metadata to another's, if it has one."""
    if KEY in source.metadata_props:
        model.metadata_props[KEY] = source.metadata_props[KEY]


def pseudo_random(rows: Floats, count: int) -> Numbers:
    """Return a pseudo-random class number, 0 to count - 1, for each row: int64 (N,)."""
    bits = np.ascontiguousarray(rows, np.float32).reshape(len(rows), -1).view(np.uint32)
    numbers: Numbers = (bits.sum(axis=1, dtype=np.uint64) % np.uint64(count)).astype(np.int64)
    return numbers


def feeds(session: Any, rows: Floats, y: Numbers | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return a session's inputs by name: the rows and, if it takes classes, class numbers.

    These are y, or those of `pseudo_random` if y is None.
    """
    first, *others = session.get_inputs()
    if not others:
        return {first.name: rows}
    if y is None:
        y = pseudo_random(rows, int(session.get_modelmeta().custom_metadata_map[KEY]))
    return {first.name: rows, others[0].name: y}
