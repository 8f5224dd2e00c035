"""Transposed convolutions as plain ones, one for each output phase.

onnxruntime's CPU provider multiplies matrices for a transposed convolution and then scatters the
products, one number at a time; for a plain convolution it has blocked kernels. The same products
are summed, in another order.
"""

import onnx_ir as ir

from edgevae.compiler.graphs import convolution, interleave
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import Edit
from edgevae.compiler.rewrites import polyphase

_FEW = 8  # output channels below which a blocked kernel, of 8 or 16 lanes, idles


def rewrite(model: ir.Model) -> int:
    """Rewrites every transposed convolution that is worth it; tells how many."""
    done = 0
    for node in [node for node in model.graph if node.op_type == "ConvTranspose"]:
        given = convolution.read(node)
        done += given is not None and _wins(given) and _rewrite(model, node, given)
    interleave.hoist(model)
    return done


def _wins(given: Convolution) -> bool:
    """The cost model: with one phase nothing is won, and few outputs leave lanes idle."""
    return given.weights.shape[1] * given.group >= _FEW and max(given.strides) > 1


def _rewrite(model: ir.Model, node: ir.Node, given: Convolution) -> bool:
    axes = []
    for settings, size, out in zip(given.axes(), given.size, given.out, strict=True):
        phases = polyphase.transposed(*settings)
        if phases is None:
            return False
        axes.append(polyphase.axis(phases, size, out))
    inputs, outputs = given.weights.shape[0] // given.group, given.weights.shape[1]
    grouped = given.weights.reshape(given.group, inputs, outputs, *given.kernel)
    weights = grouped.swapaxes(1, 2).reshape(-1, inputs, *given.kernel)
    edit = Edit(model.graph)
    edit.replace([node], polyphase.convolve(edit, given, weights, axes))
    return True
