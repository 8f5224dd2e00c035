"""Write transposed convolutions as plain ones, one for each output phase.

Matches: a ConvTranspose of constant weights and known sizes, of any kernel, stride, padding,
dilation and group, whose kernel leaves no phase without a tap.
Writes: one Conv of the small image for each phase and one Interleave (see `polyphase`); pointwise
operators after it move to each phase. The same products are summed, in another order.
Why it is faster: onnxruntime's CPU provider multiplies matrices for a transposed convolution and
scatters the products one number at a time; for plain convolutions it has blocked kernels.
Cost model: a stride above 1, since with one phase nothing is gained, and at least 8 output
channels, since fewer leave lanes of a blocked kernel idle.
Limits: where onnxruntime has no blocked layout (its aarch64 wheel, OpenVINO) it is slower.
"""

import onnx_ir as ir

from edgevae.compiler.graphs import Convolution, Edit, convolution, interleave
from edgevae.compiler.rewrites import polyphase

_MIN_CHANNELS = 8  # with fewer outputs, lanes of a blocked kernel, which has 8 or 16, idle


def rewrite(model: ir.Model) -> int:
    """Rewrite every transposed convolution that the cost model accepts; return how many."""
    places = 0
    for node in [node for node in model.graph if node.op_type == "ConvTranspose"]:
        conv = convolution.read(node)
        places += conv is not None and _wins(conv) and _rewrite(model, node, conv)
    interleave.hoist(model)
    return places


def _wins(conv: Convolution) -> bool:
    """Return True if there is more than one phase, and enough outputs for the lanes."""
    return conv.weights.shape[1] * conv.group >= _MIN_CHANNELS and max(conv.strides) > 1


def _rewrite(model: ir.Model, node: ir.Node, conv: Convolution) -> bool:
    axes = []
    for settings, size, out in zip(conv.axes(), conv.size, conv.out, strict=True):
        phases = polyphase.transposed(*settings)
        if phases is None:
            return False
        axes.append(polyphase.axis(phases, size, out))
    inputs, outputs = conv.weights.shape[0] // conv.group, conv.weights.shape[1]
    grouped = conv.weights.reshape(conv.group, inputs, outputs, *conv.kernel)
    weights = grouped.swapaxes(1, 2).reshape(-1, inputs, *conv.kernel)
    edit = Edit(model.graph)
    edit.replace([node], polyphase.convolve(edit, conv, weights, axes))
    return True
