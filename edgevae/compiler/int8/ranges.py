"""Observe the values of a graph on some inputs, and choose the range that bytes should span."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import CheckSession, Floats, constants, interleave, only_user, shapes

_MAX_NUMBERS = 1 << 25  # of all values together, at a time
_MIN_SAMPLES = 1 << 17  # of each value
_CUTS = np.linspace(0.3, 1.0, 29)


class Observation(NamedTuple):
    """Many of a value's numbers, the largest size in each channel, (C,), and its shape."""

    samples: Floats
    peaks: Floats
    shape: tuple[int, ...]


class Span(NamedTuple):
    """The range of a value in bytes: byte b stands for (b - zero) * scale."""

    scale: np.float32
    zero: np.uint8


def observe(model: ir.Model, items: Floats) -> dict[str, Observation]:
    """Return by name every value that the graph computes from `items`, its input included."""
    plain = model.clone()
    interleave.lower(plain)
    _watch(plain, model)
    session = CheckSession(plain, "calibration")
    pairs = [*_summands(model)]
    samples: dict[str, list[Floats]] = {}
    peaks: dict[str, Floats] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for rows in _batches(session, items):
        values = dict(zip(session.outputs, session.run(rows), strict=True))
        values[str(plain.graph.inputs[0].name)] = rows
        for name, array in values.items():
            largest = np.abs(array).max(axis=(0, *range(2, array.ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0), largest)
            sizes[name] = array.shape[1:]
        for one, other in pairs:
            values[one] = np.maximum(values[one], -values[other])
        for name, array in values.items():
            flat = array.reshape(-1)
            subset = flat[:: max(1, flat.size * len(items) // (len(rows) * _MIN_SAMPLES))]
            samples.setdefault(name, []).append(np.r_[subset, flat.min(), flat.max()])
    return {
        name: Observation(np.concatenate(samples[name]), peaks[name], sizes[name]) for name in sizes
    }


def span(samples: Floats, power: float) -> Span:
    """Return the scale and zero with the least mean of |error|^power; 0 is always a byte.

    The larger the power, the more of a long tail is kept, at the cost of all other values.
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
    """Make every float value of `model` with a row for each item an output of `plain`."""
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


def _batches(session: CheckSession, items: Floats) -> Iterator[Floats]:
    """Yield as many rows at a time as keep all values in memory."""
    numbers = sum(math.prod(array.shape) for array in session.run(items[:1]))
    rows = max(1, _MAX_NUMBERS // numbers)
    for first in range(0, len(items), rows):
        yield items[first : first + rows]


def _summands(model: ir.Model) -> Iterator[tuple[str, str]]:
    """Yield pairs of values whose sum is read by a Relu alone; only the sum reads the first.

    Where the first is below minus the second, the Relu returns 0, so that it needs no bytes
    there: in a residual block that is most of its range.
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
