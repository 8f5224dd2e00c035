"""Write an upsampling convolution as convolutions of the small image, one for each output phase.

`split_phases` (transposed convolutions) and `split_upsample` (nearest upsampling, then a
convolution) share this. The outputs o = s j + r of an axis, for one phase r, read the same few taps
around input j, which is a plain convolution of the input. Upsampling by s is thus s plain
convolutions an axis, whose results are interleaved. It multiplies by no zero that was put between
pixels and by no copy of a pixel, and onnxruntime's fastest kernels are for plain convolutions.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import Array, Convolution, Edit, interleave


class Phase(NamedTuple):
    """One output phase of an axis: tap t of output s j + r is at input j + first + step * t.

    `taps` is (taps, kernel): each row has a 1 for every tap of the original kernel in its sum.
    """

    first: int
    step: int
    taps: Array

    @property
    def span(self) -> int:
        """The distance from the first input that an output reads to the last."""
        return self.step * (len(self.taps) - 1)


def transposed(kernel: int, stride: int, dilation: int, begin: int) -> list[Phase] | None:
    """Return the phases of a transposed convolution, out[s m - begin + d k] += in[m] w[k].

    Returns None if the kernel leaves a phase without a tap.
    """
    phases = []
    for r in range(stride):
        hits = [k for k in range(kernel) if (r + begin - dilation * k) % stride == 0]
        if not hits:
            return None
        hits.reverse()  # the last tap reads the first input
        first = (r + begin - dilation * hits[0]) // stride
        phases.append(Phase(first, dilation // math.gcd(dilation, stride), np.eye(kernel)[hits]))
    return phases


def upsampled(kernel: int, scale: int, dilation: int, begin: int) -> list[Phase]:
    """Return the phases of out[o] = sum_k up[o - begin + d k] w[k], where up[o] = in[o // scale].

    Padding stays outside of the image, as floor(o / scale) is negative for a negative o.
    """
    phases = []
    for r in range(scale):
        offsets = [(r - begin + dilation * k) // scale for k in range(kernel)]
        taps = np.zeros((offsets[-1] - offsets[0] + 1, kernel))
        taps[np.array(offsets) - offsets[0], range(kernel)] = 1
        phases.append(Phase(offsets[0], 1, taps))
    return phases


class Axis(NamedTuple):
    """The phases of one axis, brought to one length.

    The convolution of each phase has `rows` outputs, the first for j = `start` <= 0; `size` is the
    input's.
    """

    phases: Sequence[Phase]
    start: int
    rows: int
    size: int

    def pads(self, phase: Phase) -> tuple[int, int]:
        """Return the padding before and after of a phase's convolution."""
        begin = -(self.start + phase.first)
        return begin, self.rows - (self.size + begin - phase.span)


def axis(phases: Sequence[Phase], size: int, out: int) -> Axis:
    """Return the axis of `size` inputs and `out` outputs for which no padding is negative."""
    start = -max(0, *(phase.first for phase in phases))
    free = (size - start - phase.first - phase.span for phase in phases)
    return Axis(phases, start, max(-(-out // len(phases)) - start, *free), size)


def convolve(edit: Edit, conv: Convolution, weights: Array, axes: Sequence[Axis]) -> ir.Value:
    """Return the interleaved convolutions of `conv.x`.

    `weights` are (outputs, inputs / group, *kernel).
    """
    parts = []
    for phases in itertools.product(*(axis.phases for axis in axes)):
        kernel = weights.astype(np.float64)
        for i, phase in enumerate(phases, start=2):
            kernel = np.moveaxis(np.tensordot(kernel, phase.taps, (i, 1)), -1, i)
        pads = [axis.pads(phase) for axis, phase in zip(axes, phases, strict=True)]
        part = edit.op(
            "Conv",
            conv.x,
            kernel.astype(np.float32),
            *([] if conv.bias is None else [conv.bias]),
            kernel_shape=kernel.shape[2:],
            pads=[begin for begin, _ in pads] + [end for _, end in pads],
            dilations=[phase.step for phase in phases],
            group=conv.group,
        )
        parts.append(part)
    strides = [len(axis.phases) for axis in axes]
    begins = [-axis.start * len(axis.phases) for axis in axes]
    rows = [axis.rows for axis in axes]
    return interleave.interleave(edit, parts, strides, rows, begins, conv.out)
