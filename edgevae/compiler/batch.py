"""A batch that was traced as a constant, made free.

What an exporter wrote down of it: the first size in the targets of Reshape, Expand, Tile's
repeats' inputs and Resize, and constants with a row for each item. Whether that was all is for
the caller to prove, by comparing rows.
"""

import numpy as np
import onnx_ir as ir

from edgevae.compiler import constants, parity, shapes
from edgevae.errors import InputError


def free(model: ir.Model, batch: int) -> None:
    """Undoes what the tracing of `batch` rows wrote into a graph."""
    known = shapes.at(model, batch)
    for node in list(model.graph):
        if node.op_type == "Reshape":
            _free_reshape(node, known, batch)
        elif node.op_type == "Expand":
            _free_expand(node, batch)
        elif node.op_type == "Resize":
            _free_resize(node, known)


def traced(model: ir.Model, runner: parity.Runner) -> int | None:
    """The one batch that a graph works on although it says it takes any; None where it does.

    PyTorch's old exporter writes len(x) as a number, whatever axes were said to be dynamic.
    """
    item = shapes.item(model)

    def works(rows: int) -> bool:
        try:
            runner.run(np.zeros((rows, *item), np.float32))
        except InputError:
            return False
        return True

    if all(map(works, parity.BATCHES)):
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
    """1 leaves a batch that is there as it is, and one of a constant to what it meets later."""
    target = constants.value(node.inputs[1])
    if target is not None and len(target) and target[0] == batch:
        constants.replace(node, 1, np.array([1, *target[1:]], np.int64))


def _free_resize(node: ir.Node, known: dict[str, list[int | None]]) -> None:
    """Sizes with the batch among them become scales where these say the same."""
    if len(node.inputs) < 4 or (target := constants.value(node.inputs[3])) is None:
        return
    before = known.get(node.inputs[0].name or "" if node.inputs[0] else "", [])
    if "axes" in node.attributes or len(before) != len(target) or None in before:
        return
    scales = np.array([after / size for after, size in zip(target, before, strict=True) if size])
    if all(scale == int(scale) for scale in scales):
        constants.replace(node, 2, scales.astype(np.float32))
        node.resize_inputs(3)
