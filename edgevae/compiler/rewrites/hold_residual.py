"""Keep a tensor that a convolution and a sum both read in onnxruntime's blocked layout.

Matches: the 4-D output of a Reshape or Interleave that both a Conv and an Add read.
Writes: a MaxPool of one pixel after it, which changes no value.
Why it is faster: onnxruntime adds a residual inside the convolution's kernel, but only where both
operands are in its blocked layout (NCHWc). The output of a Reshape, as of an interleaved image, is
not: the sum leaves the layout, and every convolution enters it again. MaxPool is computed in the
layout, so its output is there once for all readers.
Cost model: none beyond the match; the pipeline measures it. It adds one copy of the tensor.
Limits: the channels must be a multiple of 16. Builds of onnxruntime without the blocked layout
(the official aarch64 wheel) only pay for the copy.
"""

import onnx_ir as ir

from edgevae.compiler.graphs import interleave, shapes

_LANES = 16  # the largest block of channels that onnxruntime has


def rewrite(model: ir.Model) -> int:
    """Keep every such tensor in the layout; return how many there are."""
    places = [node for node in model.graph if node.op_type in ("Reshape", interleave.OP)]
    return sum(_hold(model, node.outputs[0]) for node in places)


def _hold(model: ir.Model, value: ir.Value) -> bool:
    known = shapes.sizes(value)
    users = [usage.node for usage in value.uses()]
    kinds = {user.op_type for user in users}
    if known is None or len(known) != 4 or not isinstance(known[1], int) or known[1] % _LANES:
        return False
    if value.is_graph_output() or not kinds >= {"Conv", "Add"}:
        return False
    held = ir.node("MaxPool", [value], {"kernel_shape": [1, 1]})
    value.replace_all_uses_with(held.outputs[0])
    held.replace_input_with(0, value)
    producer = value.producer()
    assert producer is not None
    producer.append(held)
    return True
