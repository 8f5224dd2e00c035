"""A last convolution of few output channels, in the form that the CPU provider runs fast.

onnxruntime's blocked kernels compute 8 or 16 output channels at once, however few there are. A
transposed convolution multiplies matrices of the true size instead, and scatters: for 1 or 3
outputs that is the faster one. Where the input is interleaved from phases, each phase is taken as
it is, by a transposed convolution with a stride, and their sum is the image: nothing is woven.
"""

import itertools

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import convolution, interleave
from edgevae.compiler.graphs.constants import Array
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import Edit, only_user

_FEW = 4  # output channels; with more, lanes that idle cost less than to scatter


def rewrite(model: ir.Model) -> int:
    """Rewrites every convolution of few outputs; tells how many."""
    done = 0
    for node in [node for node in model.graph if node.op_type == "Conv"]:
        given = convolution.read(node)
        if given is None or not _wins(given):
            continue
        edit = Edit(model.graph)
        woven = given.x.producer()
        if woven is not None and woven.op_type == interleave.OP and _whole(woven, node):
            edit.replace([woven, node], _of_phases(edit, given, woven))
        else:
            x_hat = _scatter(edit, given.x, given, given.bias, [1] * len(given.size), given.size)
            edit.replace([node], x_hat)
        done += 1
    return done


def _wins(given: Convolution) -> bool:
    """The cost model: few outputs, of more than one pixel each; and what can be written so."""
    outputs, inputs = given.weights.shape[:2]
    few = outputs <= _FEW and outputs < inputs and given.group == 1
    return few and max(given.strides) == 1 and max(given.kernel) > 1


def _whole(woven: ir.Node, user: ir.Node) -> bool:
    return only_user(woven.outputs[0]) is user and not interleave.cropped(woven)


def _of_phases(edit: Edit, given: Convolution, woven: ir.Node) -> ir.Value:
    strides, rows = (interleave.numbers(woven, name) for name in ("strides", "rows"))
    images: list[ir.Value] = []
    places = itertools.product(*map(range, strides))
    for part, place in zip(woven.inputs, places, strict=True):
        assert part is not None
        bias = None if images else given.bias  # once is enough
        images.append(_scatter(edit, part, given, bias, strides, rows, place))
    return edit.op("Sum", *images)


def _scatter(
    edit: Edit,
    x: ir.Value,
    given: Convolution,
    bias: ir.Value | None,
    strides: list[int],
    rows: list[int],
    place: tuple[int, ...] | None = None,
) -> ir.Value:
    """What the pixels `strides` * j + `place` of the input, which are x, add to the output.

    Input pixel m adds its product with tap k to output m + begin - d k. With taps in reverse that
    is out[s j - (d (kernel - 1) - begin - place) + d k'], a transposed convolution.
    """
    weights: Array = np.flip(given.weights, tuple(range(2, given.weights.ndim))).swapaxes(0, 1)
    begins, ends = [], []
    for i, (kernel, _, dilation, before) in enumerate(given.axes()):
        begin = dilation * (kernel - 1) - before - (place[i] if place else 0)
        end = strides[i] * (rows[i] - 1) + dilation * (kernel - 1) + 1 - begin - given.out[i]
        # Taps of zero, since padding cannot be negative.
        more = [max(0, -(pad // dilation)) for pad in (begin, end)]
        weights = np.pad(
            weights, [(0, 0)] * (2 + i) + [tuple(more)] + [(0, 0)] * (len(rows) - i - 1)
        )
        begins.append(begin + more[0] * dilation)
        ends.append(end + more[1] * dilation)
    return edit.op(
        "ConvTranspose",
        x,
        weights,
        *([] if bias is None else [bias]),
        kernel_shape=weights.shape[2:],
        strides=strides,
        dilations=given.dilations,
        pads=begins + ends,
    )
