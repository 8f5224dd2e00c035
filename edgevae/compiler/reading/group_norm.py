"""Write GroupNormalization in operators of every opset.

PyTorch's exporter writes GroupNorm as one operator from opset 21 on. onnx cannot convert that
operator to an earlier opset, and infers no shape of its output, so that all that follows would be
unknown to the passes. It is replaced by what exporters write for earlier opsets: each group is
one channel of an InstanceNormalization, then each channel is scaled and shifted.

    x (n, C, ...) -> Reshape (n, G, -1) -> InstanceNormalization -> Reshape (n, C, -1)
      -> Mul (C, 1) -> Add (C, 1) -> Reshape (n, C, ...)

onnxruntime has a kernel for InstanceNormalization, and none for GroupNormalization on the CPU,
which it takes apart into about ten operators. No rank needs to be known. A node stays as it is
where scale and bias are not constant, or are numbers of each group, as before opset 21.
"""

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import Edit, constants, fold

_OPSET = 21  # from which scale and bias have a number for each channel


def lower(model: ir.Model) -> int:
    """Replace every GroupNormalization of constant scale and bias; return how many."""
    if model.opset_imports[""] < _OPSET:
        return 0
    nodes = [node for node in model.graph if node.op_type == "GroupNormalization"]
    if nodes:
        fold.constants_alone(model)  # a GroupNorm without weights computes ones and zeros
    return sum(_lower(model, node) for node in nodes if not node.domain)


def _lower(model: ir.Model, node: ir.Node) -> bool:
    x, *parameters = node.inputs
    scale, bias = (constants.value(parameter) for parameter in parameters)
    groups = node.attributes.get_int("num_groups")
    if x is None or scale is None or bias is None or groups is None:
        return False
    edit = Edit(model.graph)
    y = edit.op(
        "InstanceNormalization",
        edit.op("Reshape", x, np.array([0, groups, -1])),
        np.ones(groups, np.float32),
        np.zeros(groups, np.float32),
        epsilon=node.attributes.get_float("epsilon", 1e-5),
    )
    y = edit.op("Reshape", y, np.array([0, len(scale), -1]))
    y = edit.op("Add", edit.op("Mul", y, scale.reshape(-1, 1)), bias.reshape(-1, 1))
    edit.replace([node], edit.op("Reshape", y, edit.op("Shape", x)))
    return True
