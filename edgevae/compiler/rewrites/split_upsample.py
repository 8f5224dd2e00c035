"""Write nearest upsampling and the convolution after it as convolutions of the small image.

Matches: Resize or Upsample that repeats pixels by whole factors, and a Conv of stride 1 that alone
reads it.
Writes: one Conv of the small image for each output phase, whose taps are sums of the original
ones, and one Interleave (see `polyphase`); pointwise operators after it move to each phase.
Why it is faster: of the k x k pixels that such a convolution reads, most are copies of each other.
For 3 x 3 after a factor of 2, four 2 x 2 convolutions need 4/9 of the products, and the large image
is neither written nor read.
Cost model: none beyond the match, as it always saves products; the pipeline measures it.
Limits: only modes of Resize that repeat each pixel equally often.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import Edit, convolution, interleave, only_user, shapes
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
    """Rewrite every nearest upsampling by whole factors that one convolution reads."""
    places = 0
    for node in [node for node in model.graph if node.op_type in ("Resize", "Upsample")]:
        user = only_user(node.outputs[0])
        factors = repeats(node)
        if factors is not None and user is not None and user.op_type == "Conv":
            places += _rewrite(model, node, user, factors)
    interleave.hoist(model)
    return places


def _rewrite(model: ir.Model, node: ir.Node, user: ir.Node, factors: list[int]) -> bool:
    conv, size = convolution.read(user), shapes.spatial(node.inputs[0])
    if conv is None or size is None or max(conv.strides) > 1:
        return False
    axes = []
    for i, (kernel, _, dilation, begin) in enumerate(conv.axes()):
        phases = polyphase.upsampled(kernel, factors[i], dilation, begin)
        axes.append(polyphase.axis(phases, size[i], conv.out[i]))
    x = node.inputs[0]
    assert x is not None
    edit = Edit(model.graph)
    image = polyphase.convolve(edit, conv._replace(x=x), conv.weights, axes)
    edit.replace([node, user], image)
    return True


def repeats(node: ir.Node) -> list[int] | None:
    """Return how often an upsampling repeats the pixels of each spatial axis.

    Returns None if it does anything but repeat each pixel of an axis equally often, as other
    modes, factors and ways to round do.
    """
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
    """Return True if output o is input o // (large / small), by ONNX's definition of Resize."""
    o = np.arange(large, dtype=np.float64)
    old = node.op_type == "Upsample"  # before opset 10: asymmetric, rounded down
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
