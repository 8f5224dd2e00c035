"""The class numbers that the compiler tells a conditional decoder, wherever it runs one.

A graph with the input y says in its metadata how many classes there are. The class of a row is a
function of the row's bits, so that it is the same in any batch and in any rewriting of the graph.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

KEY = "classes"


def mark(model: ir.Model, count: int) -> None:
    """Says in a graph's metadata how many classes its y may be of."""
    model.metadata_props[KEY] = str(count)


def keep(source: ir.Model, model: ir.Model) -> None:
    """Says of `model` what the metadata of `source` say."""
    if KEY in source.metadata_props:
        model.metadata_props[KEY] = source.metadata_props[KEY]


def of(rows: Floats, count: int) -> Numbers:
    """A class for each row, as good as random for rows that are."""
    bits = np.ascontiguousarray(rows, np.float32).reshape(len(rows), -1).view(np.uint32)
    numbers: Numbers = (bits.sum(axis=1, dtype=np.uint64) % np.uint64(count)).astype(np.int64)
    return numbers


def feeds(session: Any, rows: Floats, y: Numbers | None = None) -> dict[str, npt.NDArray[Any]]:
    """The inputs of a session for rows of its first, told y where it asks: by None, `of` them."""
    first, *others = session.get_inputs()
    if not others:
        return {first.name: rows}
    if y is None:
        y = of(rows, int(session.get_modelmeta().custom_metadata_map[KEY]))
    return {first.name: rows, others[0].name: y}
