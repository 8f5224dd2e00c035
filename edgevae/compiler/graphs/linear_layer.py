"""Read a linear layer, Gemm or MatMul, as y = x @ weights + bias."""

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants
from edgevae.compiler.graphs.constants import Array


def weights_and_bias(layer: ir.Node) -> tuple[Array, Array] | None:
    """Return float32 weights (inputs, outputs) and bias (outputs,), with alpha and beta applied.

    Returns None if they are not constant, weights are no matrix, the bias has a row for each
    row of x, or x is transposed.
    """
    attributes = layer.attributes
    weights = constants.value(layer.inputs[1])
    if weights is None or weights.ndim != 2 or attributes.get_int("transA"):
        return None
    weights = weights.T if attributes.get_int("transB") else weights
    weights = weights * (attributes.get_float("alpha", 1.0) or 0.0)
    bias: Array | None = np.zeros(weights.shape[1], np.float32)
    if len(layer.inputs) > 2 and layer.inputs[2] is not None:
        bias = constants.value(layer.inputs[2])
        if bias is None or (bias.ndim == 2 and len(bias) != 1) or bias.ndim > 2:
            return None
        bias = bias * (attributes.get_float("beta", 1.0) or 0.0)
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[1:])
    return weights.astype(np.float32), np.asarray(bias, np.float32)
