"""What upsamples and convolves, as convolutions of the small image, one for each output phase.

The outputs o = s j + r of an axis, for one r, read the same few taps around input j: a plain
convolution of the input. Upsampling by s thus is s convolutions an axis, whose results are
interleaved. No product with a zero that was stuffed in between, or with a copy of a pixel, is
left, and onnxruntime has its fastest kernels for plain convolutions alone.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import interleave
from edgevae.compiler.graphs.constants import Array
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import Edit


class Phase(NamedTuple):
    """How output s j + r reads its axis: tap t is at input j + first + step * t.

    `taps` (taps, kernel) says which of the original kernel's taps each is the sum of.
    """

    first: int
    step: int
    taps: Array

    @property
    def span(self) -> int:
        """From the first input to the last."""
        return self.step * (len(self.taps) - 1)


def transposed(kernel: int, stride: int, dilation: int, begin: int) -> list[Phase] | None:
    """The phases of a transposed convolution, out[s m - begin + d k] += in[m] w[k].

    None where the kernel leaves a phase without a tap.
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
    """The phases of a convolution, out[o] = sum_k up[o - begin + d k] w[k], of repeated inputs,
    up[o] = in[o // scale]. Padding is outside of both: floor(o / scale) keeps it there."""
    phases = []
    for r in range(scale):
        offsets = [(r - begin + dilation * k) // scale for k in range(kernel)]
        taps = np.zeros((offsets[-1] - offsets[0] + 1, kernel))
        taps[np.array(offsets) - offsets[0], range(kernel)] = 1
        phases.append(Phase(offsets[0], 1, taps))
    return phases


class Axis(NamedTuple):
    """The phases of one axis, brought to one length: each convolution gives `rows` outputs, the
    first of them for j = `start` <= 0."""

    phases: Sequence[Phase]
    start: int
    rows: int
    size: int

    def pads(self, phase: Phase) -> tuple[int, int]:
        begin = -(self.start + phase.first)
        return begin, self.rows - (self.size + begin - phase.span)


def axis(phases: Sequence[Phase], size: int, out: int) -> Axis:
    """Plans for `out` outputs from `size` inputs, so that no padding is negative."""
    start = -max(0, *(phase.first for phase in phases))
    free = (size - start - phase.first - phase.span for phase in phases)
    return Axis(phases, start, max(-(-out // len(phases)) - start, *free), size)


def convolve(edit: Edit, given: Convolution, weights: Array, axes: Sequence[Axis]) -> ir.Value:
    """The interleaved convolutions of `given.x`; weights are (outputs, inputs / group, *kernel)."""
    parts = []
    for phases in itertools.product(*(axis.phases for axis in axes)):
        kernel = weights.astype(np.float64)
        for i, phase in enumerate(phases, start=2):
            kernel = np.moveaxis(np.tensordot(kernel, phase.taps, (i, 1)), -1, i)
        pads = [axis.pads(phase) for axis, phase in zip(axes, phases, strict=True)]
        part = edit.op(
            "Conv",
            given.x,
            kernel.astype(np.float32),
            *([] if given.bias is None else [given.bias]),
            kernel_shape=kernel.shape[2:],
            pads=[begin for begin, _ in pads] + [end for _, end in pads],
            dilations=[phase.step for phase in phases],
            group=given.group,
        )
        parts.append(part)
    strides = [len(axis.phases) for axis in axes]
    begins = [-axis.start * len(axis.phases) for axis in axes]
    rows = [axis.rows for axis in axes]
    return interleave.interleave(edit, parts, strides, rows, begins, given.out)
