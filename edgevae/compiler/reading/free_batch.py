"""Make a batch free that was traced as a constant.

An exporter writes such a batch as the first size in the targets of Reshape, Expand and Resize, and
as constants with a row for each item. Callers must compare rows of other batches afterwards, as
the number may be elsewhere too.
"""

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import BATCHES, CheckSession, constants, shapes
from edgevae.errors import InputError

# Operators that repeat one row for each item of the batch.
_BROADCASTS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Where", "PRelu")


def free(model: ir.Model, batch: int) -> None:
    """Remove the traced batch of `batch` rows from a graph."""
    known = shapes.at(model, batch)
    for node in list(model.graph):
        if node.op_type == "Reshape":
            _free_reshape(node, known, batch)
        elif node.op_type == "Expand":
            _free_expand(node, batch)
        elif node.op_type == "Resize":
            _free_resize(node, known)
        elif node.op_type in _BROADCASTS:
            _free_operands(node, known, batch)
        elif node.op_type == "Concat":
            _free_parts(model, node, batch)


def free_sizes(model: ir.Model) -> None:
    """Replace the sizes of every Resize by scales if these are integers."""
    known = shapes.at(model, 1)
    for node in model.graph:
        if node.op_type == "Resize":
            _free_resize(node, known)


def traced_batch(model: ir.Model, session: CheckSession) -> int | None:
    """Return the one batch that a graph works on, though it declares any; None if it takes any.

    PyTorch's TorchScript exporter writes len(x) as a number even where the axis is dynamic.
    """
    item = shapes.item_shape(model)

    def works(rows: int) -> bool:
        try:
            session.run(np.zeros((rows, *item), np.float32))
        except InputError:
            return False
        return True

    if all(map(works, BATCHES)):
        return None
    targets = (constants.value(node.inputs[1]) for node in model.graph if node.op_type == "Reshape")
    numbers = {int(target[0]) for target in targets if target is not None and len(target)}
    return next((number for number in sorted(numbers) if number > 0 and works(number)), None)


def _free_reshape(node: ir.Node, known: dict[str, list[int | None]], batch: int) -> None:
    target = constants.value(node.inputs[1])
    sizes = known.get(node.outputs[0].name or "", [])
    if target is None or not sizes or sizes[0] != batch or target[0] not in (batch, -1):
        return
    if all(size is not None for size in sizes[1:]):
        constants.replace(node, 1, np.array([-1, *sizes[1:]], np.int64))


def _free_expand(node: ir.Node, batch: int) -> None:
    """Replace the batch by 1, which leaves a batch that is there as it is."""
    target = constants.value(node.inputs[1])
    if target is not None and len(target) and target[0] == batch:
        constants.replace(node, 1, np.array([1, *target[1:]], np.int64))


def _free_resize(node: ir.Node, known: dict[str, list[int | None]]) -> None:
    """Replace sizes, which have the batch among them, by scales if these are integers."""
    if len(node.inputs) < 4 or (target := constants.value(node.inputs[3])) is None:
        return
    before = known.get(node.inputs[0].name or "" if node.inputs[0] else "", [])
    if "axes" in node.attributes or len(before) != len(target) or None in before:
        return
    scales = np.array([after / size for after, size in zip(target, before, strict=True) if size])
    if all(scale == int(scale) for scale in scales):
        constants.replace(node, 2, scales.astype(np.float32))
        node.resize_inputs(3)


def _free_operands(node: ir.Node, known: dict[str, list[int | None]], batch: int) -> None:
    rank = len(known.get(node.outputs[0].name or "", []))
    for index, value in enumerate(node.inputs):
        row = _row(value, batch)
        if row is not None and row.ndim == rank:
            constants.replace(node, index, row)


def _free_parts(model: ir.Model, node: ir.Node, batch: int) -> None:
    """Repeat the row of a constant for each item, as Concat does not broadcast."""
    if node.attributes.get_int("axis", 0) == 0:
        return
    for index, value in enumerate(node.inputs):
        row = _row(value, batch)
        if row is None:
            continue
        rows = ir.node("Shape", [model.graph.inputs[0]], {"start": 0, "end": 1})
        sizes = constants.new(model, np.array(row.shape[1:], np.int64), "sizes")
        target = ir.node("Concat", [rows.outputs[0], sizes], {"axis": 0})
        repeated = ir.node("Expand", [constants.new(model, row, "row"), target.outputs[0]])
        model.graph.insert_before(node, [rows, target, repeated])
        node.replace_input_with(index, repeated.outputs[0])


def _row(value: ir.Value | None, batch: int) -> constants.Array | None:
    """Return the first row of a constant whose rows, one an item, are all equal; else None."""
    array = constants.value(value)
    if array is None or array.ndim < 2 or len(array) != batch or (array != array[:1]).any():
        return None
    return array[:1]
