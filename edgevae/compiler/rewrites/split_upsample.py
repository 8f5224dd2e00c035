"""Nearest upsampling and the convolution after it, as convolutions of the small image.

Of the k x k pixels that such a convolution reads, most are copies of each other: for 3 x 3 after a
factor of 2, four 2 x 2 convolutions do with 4/9 of the products.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import convolution, interleave, shapes
from edgevae.compiler.graphs.edit import Edit, only_user
from edgevae.compiler.rewrites import polyphase

Doubles = npt.NDArray[np.float64]

_PLACE, _ROUNDING = "coordinate_transformation_mode", "nearest_mode"
_ROUND: dict[str | None, Callable[[Doubles], Doubles]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def rewrite(model: ir.Model) -> int:
    """Rewrites every nearest upsampling by whole factors that a convolution alone reads."""
    done = 0
    for node in [node for node in model.graph if node.op_type in ("Resize", "Upsample")]:
        user = only_user(node.outputs[0])
        factors = repeats(node)
        if factors is not None and user is not None and user.op_type == "Conv":
            done += _rewrite(model, node, user, factors)
    interleave.hoist(model)
    return done


def _rewrite(model: ir.Model, node: ir.Node, conv: ir.Node, factors: list[int]) -> bool:
    given, size = convolution.read(conv), shapes.spatial(node.inputs[0])
    if given is None or size is None or max(given.strides) > 1:
        return False
    axes = []
    for i, (kernel, _, dilation, begin) in enumerate(given.axes()):
        phases = polyphase.upsampled(kernel, factors[i], dilation, begin)
        axes.append(polyphase.axis(phases, size[i], given.out[i]))
    x = node.inputs[0]
    assert x is not None
    edit = Edit(model.graph)
    whole = polyphase.convolve(edit, given._replace(x=x), given.weights, axes)
    edit.replace([node, conv], whole)
    return True


def repeats(node: ir.Node) -> list[int] | None:
    """How often an upsampling repeats the pixels of each spatial axis; None where it does not
    repeat them, each as often: other modes, factors or ways to round."""
    before, after = shapes.sizes(node.inputs[0]), shapes.sizes(node.outputs[0])
    if before is None or after is None or before[:2] != after[:2] or len(before) < 3:
        return None
    if node.attributes.get_string("mode", "nearest") != "nearest" or "axes" in node.attributes:
        return None
    factors = []
    for small, large in zip(before[2:], after[2:], strict=True):
        if not isinstance(small, int) or not isinstance(large, int) or large % small:
            return None
        if not _repeats(node, small, large):
            return None
        factors.append(large // small)
    return factors if max(factors) > 1 else None


def _repeats(node: ir.Node, small: int, large: int) -> bool:
    """Whether output o is input o // (large / small), by ONNX's definition of Resize."""
    o = np.arange(large, dtype=np.float64)
    old = node.op_type == "Upsample"  # as Resize was before opset 10: asymmetric, and rounded down
    place = "asymmetric" if old else node.attributes.get_string(_PLACE, "half_pixel")
    rounding = "floor" if old else node.attributes.get_string(_ROUNDING, "round_prefer_floor")
    if place == "asymmetric":
        x = o * small / large
    elif place == "half_pixel" or (place == "pytorch_half_pixel" and large > 1):
        x = (o + 0.5) * small / large - 0.5
    else:
        return False
    if rounding not in _ROUND:
        return False
    return np.array_equal(np.clip(_ROUND[rounding](x), 0, small - 1), o // (large // small))
