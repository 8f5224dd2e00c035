"""Fold the parts of a graph that depend on constants and sizes alone."""

import logging

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript import optimizer

from edgevae.compiler.graphs import constants, shapes

logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it logs every node that it leaves

_MAX_NUMBERS = 1 << 26  # of one folded constant
_MAX_FILLED = 1 << 12  # of a constant that repeats one number


def fold(model: ir.Model) -> None:
    """Fold constants and shape arithmetic; remove Identity, Dropout and unused nodes.

    Every Reshape whose result is known but for the batch gets a constant target, with 0 where the
    batch is that of the input and -1 elsewhere. Every Expand of a batch gets a constant target
    with 1 in the place of the batch.
    """
    for _ in range(2):  # a target that became constant makes others known
        shapes.infer(model)
        optimizer.optimize_ir(
            model,
            input_size_limit=_MAX_NUMBERS,
            output_size_limit=_MAX_NUMBERS,
            should_fold=_fill,
        )
        common.IdentityEliminationPass()(model)
        shapes.infer(model)
        for node in model.graph:
            if node.op_type == "Reshape":
                _set_reshape_target(node)
            elif node.op_type == "Expand":
                _set_expand_target(node)
        clean(model)


def constants_alone(model: ir.Model) -> None:
    """Fold values that depend neither on an input nor on the shape of one."""
    optimizer.fold_constants_ir(
        model,
        input_size_limit=_MAX_NUMBERS,
        output_size_limit=_MAX_NUMBERS,
        should_fold=_fill,
    )
    clean(model)


def clean(model: ir.Model) -> None:
    """Remove nodes, initializers and opsets that no output depends on."""
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)


def _fill(node: ir.Node) -> bool | None:
    """Return True to fold a ConstantOfShape of moderate size, None for onnxscript's own choice.

    onnxscript folds no ConstantOfShape, and so nothing that exporters compute from one.
    """
    sizes = constants.value(node.inputs[0]) if node.op_type == "ConstantOfShape" else None
    return None if sizes is None else bool(np.prod(sizes) <= _MAX_FILLED)


def _set_reshape_target(node: ir.Node) -> None:
    before, after = shapes.sizes(node.inputs[0]), shapes.sizes(node.outputs[0])
    if after is None or sum(not isinstance(size, int) for size in after) > 1 or 0 in after:
        return
    target = [size if isinstance(size, int) else -1 for size in after]
    if before and before[0] == after[0] == shapes.BATCH:
        target[0] = 0
    node.attributes.pop("allowzero", None)
    old = constants.value(node.inputs[1])
    if old is None or old.tolist() != target:
        constants.replace(node, 1, np.array(target, np.int64))


def _set_expand_target(node: ir.Node) -> None:
    before, after = shapes.sizes(node.inputs[0]), shapes.sizes(node.outputs[0])
    if not before or not after or len(before) != len(after) or before[0] != shapes.BATCH:
        return
    sizes = [size for size in after[1:] if isinstance(size, int)]
    if after[0] == shapes.BATCH and len(sizes) == len(after) - 1:
        constants.replace(node, 1, np.array([1, *sizes], np.int64))
