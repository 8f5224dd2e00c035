"""What each value of a graph was on some inputs, and the range of it that bytes should span."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants, interleave, shapes
from edgevae.compiler.graphs.edit import only_user
from edgevae.compiler.graphs.parity import Floats, Runner

_NUMBERS = 1 << 25  # of all values together, at a time
_SAMPLES = 1 << 17  # of each value, at least
_CUTS = np.linspace(0.3, 1.0, 29)


class Seen(NamedTuple):
    """A value's numbers, or many of them; the largest size in each channel, (C,); its shape."""

    samples: Floats
    peaks: Floats
    shape: tuple[int, ...]


class Span(NamedTuple):
    """Byte b stands for (b - zero) * scale."""

    scale: np.float32
    zero: np.uint8


def observe(model: ir.Model, items: Floats) -> dict[str, Seen]:
    """Every value that the graph computes from `items`, its input included, by name."""
    plain = model.clone()
    interleave.lower(plain)
    _watch(plain, model)
    runner = Runner(plain, "calibration")
    pairs = [*_summands(model)]
    samples: dict[str, list[Floats]] = {}
    peaks: dict[str, Floats] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for rows in _batches(runner, items):
        seen = dict(zip(runner.outputs, runner.run(rows), strict=True))
        seen[str(plain.graph.inputs[0].name)] = rows
        for name, array in seen.items():
            largest = np.abs(array).max(axis=(0, *range(2, array.ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0), largest)
            sizes[name] = array.shape[1:]
        for one, other in pairs:
            seen[one] = np.maximum(seen[one], -seen[other])
        for name, array in seen.items():
            flat = array.reshape(-1)
            some = flat[:: max(1, flat.size * len(items) // (len(rows) * _SAMPLES))]
            samples.setdefault(name, []).append(np.r_[some, flat.min(), flat.max()])
    return {name: Seen(np.concatenate(samples[name]), peaks[name], sizes[name]) for name in sizes}


def span(samples: Floats, power: float) -> Span:
    """The scale and zero whose bytes are nearest to the samples; 0 is always a byte.

    Nearest in the mean of |error|^power: the larger, the more of a long tail is kept, at the cost
    of all other values.
    """
    low, high = min(0.0, float(samples.min())), max(0.0, float(samples.max()))
    if high - low < 1e-12:
        return Span(np.float32(1), np.uint8(0))
    spans = [_over(cut * low, cut * high) for cut in _CUTS]
    return min(spans, key=lambda span: _error(samples, span, power))


def _over(low: float, high: float) -> Span:
    scale = np.float32((high - low) / 255)
    return Span(scale, np.uint8(np.rint(-low / scale)))


def _error(samples: Floats, span: Span, power: float) -> float:
    zero = float(span.zero)
    bytes_ = np.clip(np.rint(samples / span.scale) + zero, 0, 255)
    return float((np.abs((bytes_ - zero) * span.scale - samples) ** power).mean())


def _watch(plain: ir.Model, model: ir.Model) -> None:
    """Makes every float value of `model` with a row for each item an output of `plain`."""
    wanted = {value.name for node in model.graph for value in node.outputs}
    values = [value for node in plain.graph for value in node.outputs if value.name in wanted]
    outputs = []
    for value in values:
        if value.dtype is None:
            value.dtype = ir.DataType.FLOAT
        known = shapes.sizes(value)
        if value.dtype == ir.DataType.FLOAT and (known is None or known[:1] == [shapes.BATCH]):
            outputs.append(value)
    plain.graph.outputs[:] = outputs


def _batches(runner: Runner, items: Floats) -> Iterator[Floats]:
    """As many rows at a time as keep all values in memory."""
    numbers = sum(math.prod(array.shape) for array in runner.run(items[:1]))
    rows = max(1, _NUMBERS // numbers)
    for first in range(0, len(items), rows):
        yield items[first : first + rows]


def _summands(model: ir.Model) -> Iterator[tuple[str, str]]:
    """Pairs of values whose sum is cut off at 0; the first is for nothing else.

    It may be anything below minus the second, and needs no bytes there: in a residual block that
    is most of its range.
    """
    for node in model.graph:
        user = only_user(node.outputs[0])
        if node.op_type != "Add" or user is None or user.op_type != "Relu":
            continue
        for one, other in (node.inputs, reversed(node.inputs)):
            if one is None or other is None or constants.value(other) is not None:
                continue
            if only_user(one) is node and _alike(one, other):
                yield str(one.name), str(other.name)
                break


def _alike(one: ir.Value, other: ir.Value) -> bool:
    return one.shape is not None and one.shape == other.shape
