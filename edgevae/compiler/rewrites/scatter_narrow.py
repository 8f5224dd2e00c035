"""Write convolutions to few channels as transposed convolutions.

Matches: a Conv of stride 1 and one group with a kernel of more than one pixel, to fewer channels
than it reads. For the pass `narrow` these are at most 4, mostly those of a decoder's last layer, of
1 or 3; for `scatter` they are at most half as many as it reads.
Writes: a ConvTranspose with the reversed taps. Where the input is interleaved from phases that
nothing else reads, each phase is read by a ConvTranspose with a stride, and their Sum is the
image, so that nothing is interleaved.
Why it is faster: onnxruntime's blocked kernels compute 8 or 16 output channels at once, however few
there are. Its transposed convolution multiplies matrices of the true size, and scatters. Without
the blocked layout, a convolution copies k x k numbers for each pixel and input channel, and a
transposed one adds k x k for each pixel and output channel.
Cost model: the match itself. With blocked kernels and more channels, idle lanes cost less than the
scatter. Without them half the channels need fewer instructions (1.2 to 2.1 times on aarch64), but
the products must stay in the cache of a core.
Limits: single rows of large images can lose (measured at 256 pixels), which the pipeline's race
of one row decides. Taps of zero are added where the padding would be negative.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import Array, Convolution, Edit, convolution, interleave, only_user

_MAX_CHANNELS = 4  # with more outputs, idle lanes cost less than the scatter
_MAX_PRODUCTS = 256 << 10  # bytes; more leave the second-level cache of small ARM cores


def rewrite(model: ir.Model) -> int:
    """Rewrite every convolution to at most 4 channels; return how many."""
    return _rewrite(model, lambda conv: conv.weights.shape[0] <= _MAX_CHANNELS)


def rewrite_half(model: ir.Model) -> int:
    """Rewrite every convolution to at most half as many channels as it reads; return how many."""
    return _rewrite(model, _halves)


def _rewrite(model: ir.Model, wins: Callable[[Convolution], bool]) -> int:
    """Rewrite every convolution that is a match and wins; return how many."""
    places = 0
    for node in [node for node in model.graph if node.op_type == "Conv"]:
        conv = convolution.read(node)
        if conv is None or not _matches(conv) or not wins(conv):
            continue
        edit = Edit(model.graph)
        source = conv.x.producer()
        if source is not None and source.op_type == interleave.OP and _can_skip(source, node):
            edit.replace([source, node], _of_phases(edit, conv, source))
        else:
            x_hat = _scatter(edit, conv.x, conv, conv.bias, [1] * len(conv.size), conv.size)
            edit.replace([node], x_hat)
        places += 1
    return places


def _matches(conv: Convolution) -> bool:
    """Return True if a convolution has few outputs and can be written as a transposed one."""
    outputs, inputs = conv.weights.shape[:2]
    return outputs < inputs and conv.group == 1 and max(conv.strides) == 1 and max(conv.kernel) > 1


def _halves(conv: Convolution) -> bool:
    """Return True if there are at most half as many outputs, and their products fit the cache."""
    outputs, inputs = conv.weights.shape[:2]
    products = 4 * outputs * math.prod(conv.kernel) * math.prod(conv.size)
    return bool(2 * outputs <= inputs and products <= _MAX_PRODUCTS)


def _can_skip(node: ir.Node, user: ir.Node) -> bool:
    """Return True if only `user` reads an interleaved image, all of it."""
    return only_user(node.outputs[0]) is user and not interleave.cropped(node)


def _of_phases(edit: Edit, conv: Convolution, source: ir.Node) -> ir.Value:
    """Return the convolution as a sum over the phases of its interleaved input."""
    strides, rows = (interleave.numbers(source, name) for name in ("strides", "rows"))
    images: list[ir.Value] = []
    places = itertools.product(*map(range, strides))
    for part, place in zip(source.inputs, places, strict=True):
        assert part is not None
        bias = None if images else conv.bias  # it is added once
        images.append(_scatter(edit, part, conv, bias, strides, rows, place))
    return edit.op("Sum", *images)


def _scatter(
    edit: Edit,
    x: ir.Value,
    conv: Convolution,
    bias: ir.Value | None,
    strides: list[int],
    rows: list[int],
    place: tuple[int, ...] | None = None,
) -> ir.Value:
    """Return the contribution of x, the pixels `strides` * j + `place` of the input, to the output.

    Input pixel m adds its product with tap k to output m + begin - d k. With taps in reverse that
    is out[s j - (d (kernel - 1) - begin - place) + d k'], a transposed convolution.
    """
    weights: Array = np.flip(conv.weights, tuple(range(2, conv.weights.ndim))).swapaxes(0, 1)
    begins, ends = [], []
    for i, (kernel, _, dilation, before) in enumerate(conv.axes()):
        begin = dilation * (kernel - 1) - before - (place[i] if place else 0)
        end = strides[i] * (rows[i] - 1) + dilation * (kernel - 1) + 1 - begin - conv.out[i]
        # Zero taps are added, since padding cannot be negative.
        extra = [max(0, -(pad // dilation)) for pad in (begin, end)]
        weights = np.pad(
            weights, [(0, 0)] * (2 + i) + [tuple(extra)] + [(0, 0)] * (len(rows) - i - 1)
        )
        begins.append(begin + extra[0] * dilation)
        ends.append(end + extra[1] * dilation)
    return edit.op(
        "ConvTranspose",
        x,
        weights,
        *([] if bias is None else [bias]),
        kernel_shape=weights.shape[2:],
        strides=strides,
        dilations=conv.dilations,
        pads=begins + ends,
    )
