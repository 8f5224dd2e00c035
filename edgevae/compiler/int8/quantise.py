"""Quantise a graph to static int8: convolutions and linear layers read and write bytes.

Activations are uint8 with one scale a tensor, weights int8 with one scale an output, sums int32.
The graph is standard ONNX, float operators between DequantizeLinear and QuantizeLinear (QDQ),
which onnxruntime fuses into its integer kernels; phases are interleaved with channels last, the
layout of those kernels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import (
    Array,
    CheckSession,
    Convolution,
    Floats,
    class_input,
    constants,
    convolution,
    interleave,
    linear_layer,
    only_user,
    rename,
    shapes,
)
from edgevae.compiler.int8 import equalise
from edgevae.compiler.int8.ranges import Observation, Span, observe, span
from edgevae.compiler.rewrites import (
    lowered,
    merge_linear,
    scatter_narrow,
    split_phases,
    split_upsample,
)

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm"}
_JOINS = {"Add", "Mul"}
_UNARY = {"Relu", "LeakyRelu", "Sigmoid"}
_MOVES = {"Reshape", interleave.OP}
_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels
_COL2IM = 18  # the first opset with Col2Im
_POWERS = (1.5, 2.0, 4.0)  # of the error that ranges minimise; the best depends on the graph


class Bytes(NamedTuple):
    """A uint8 value and the range of its bytes."""

    value: ir.Value
    span: Span


def quantise(model: ir.Model, items: Floats) -> ir.Model:
    """Return the int8 graph of a graph in normal form, which is not changed.

    `items` is float32 (rows, *shape), some hundred rows such as the graph will see; the ranges are
    those that lose least on them.
    """
    model = model.clone()
    for rewrite in (merge_linear, split_phases, split_upsample, scatter_narrow):
        rewrite.rewrite(model)
    if any(len(interleave.numbers(node, "rows")) != 2 for node in interleave.nodes(model)):
        interleave.lower(model)
    observed = observe(model, items)
    for node in model.graph:
        for value in node.outputs:
            if value.name in observed:
                value.dtype = ir.DataType.FLOAT
                value.shape = ir.Shape([shapes.BATCH, *observed[str(value.name)].shape])
    if equalise.rewrite(model, {name: value.peaks for name, value in observed.items()}):
        observed = observe(model, items)
    expected = CheckSession(lowered(model), "float32").run(items)
    candidates = [_Quantiser(model, observed, power).run() for power in _POWERS]
    best = min(
        candidates, key=lambda graph: _error(expected, CheckSession(graph, "int8").run(items))
    )
    rename.tidy(best)
    return best


def _error(expected: list[Floats], got: list[Floats]) -> float:
    """Return the sum over outputs of the mean square error relative to the variance."""
    pairs = zip(expected, got, strict=True)
    return sum(float(np.square(a - b).mean() / max(a.var(), 1e-12)) for a, b in pairs)


class _Quantiser:
    """Writes a new graph, node by node.

    The new graph has each value of the old one as floats, as bytes or as both, as its readers
    need it.
    """

    def __init__(self, model: ir.Model, observed: dict[str, Observation], power: float) -> None:
        self._old = model
        self._observed = observed
        self._power = power
        self._spans: dict[str, Span] = {}
        self._tape = ir.tape.Tape()
        self._floats: dict[ir.Value, ir.Value] = {}
        self._bytes: dict[ir.Value, Bytes] = {}
        self._constants: dict[tuple[str, bytes], ir.Value] = {}
        self._writers: dict[str, Callable[[ir.Node], bool]] = {
            "Conv": self._conv,
            "ConvTranspose": self._scatter,
            "Gemm": self._gemm,
            "Reshape": self._reshape,
            interleave.OP: self._interleave,
            **dict.fromkeys(_JOINS, self._join),
            **dict.fromkeys(_UNARY, self._unary),
        }

    def run(self) -> ir.Model:
        """Return the new graph."""
        old = self._old.graph
        inputs = [ir.val(value.name, value.dtype, value.shape) for value in old.inputs]
        self._floats.update(zip(old.inputs, inputs, strict=True))
        for node in old:
            write = self._writers.get(node.op_type)
            if write is None or not write(node):
                self._copy(node)
        outputs: list[ir.Value] = []
        for value in old.outputs:
            twin = self._float(value)
            if twin in inputs or twin in outputs:
                twin = self._op("Identity", twin)
            twin.name, twin.type, twin.shape = value.name, value.type, value.shape
            outputs.append(twin)
        graph = ir.Graph(
            inputs,
            outputs,
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports={"": self._old.opset_imports[""]},
            name=old.name,
        )
        model = ir.Model(graph, ir_version=self._old.ir_version)
        class_input.keep(self._old, model)
        return model

    # --- operators: each method returns whether it could write the node --------------------------

    def _copy(self, node: ir.Node) -> None:
        """Copy a node, in float32."""
        inputs = [None if value is None else self._float(value) for value in node.inputs]
        outputs = self._tape.op_multi_out(
            node.op_type,
            inputs,
            dict(node.attributes),
            num_outputs=len(node.outputs),
            domain=node.domain,
        )
        self._floats.update(zip(node.outputs, outputs, strict=True))

    def _conv(self, node: ir.Node) -> bool:
        conv = _image_convolution(node)
        if conv is None or not self._wanted(node.outputs[0]):
            return False
        x = self._quantised(conv.x)
        layer = self._layer(x, conv.weights, _bias(conv), 0)
        y = self._op("Conv", self._dequantised(x), *layer, **node.attributes)
        self._bytes[node.outputs[0]] = self._quantise(y, node.outputs[0])
        return True

    def _scatter(self, node: ir.Node) -> bool:
        """Write a ConvTranspose as a MatMul in int8 and Col2Im in float32.

        The products of a pixel with all taps are one row of the MatMul's output; Col2Im adds each
        to its pixel. OpenVINO refuses a Gemm here, between reshapes of the batch.
        """
        conv = _image_convolution(node)
        if conv is None or conv.group > 1 or self._old.opset_imports[""] < _COL2IM:
            return False
        inputs, outputs = conv.weights.shape[:2]
        x, count = self._quantised(conv.x), int(np.prod(conv.size))
        last = self._op("Transpose", x.value, perm=_LAST)
        pixels = x._replace(value=self._op("Reshape", last, np.array([-1, count, inputs])))
        weights, _ = self._weights(conv.weights.reshape(inputs, -1), 1)
        products = self._op("MatMul", self._dequantised(pixels), weights)
        image = self._op(
            "Col2Im",
            self._op("Transpose", products, perm=(0, 2, 1)),
            np.array(conv.out),
            np.array(conv.kernel),
            strides=conv.strides,
            dilations=conv.dilations,
            pads=[*conv.begins, *conv.ends],
        )
        bias = _bias(conv)
        if bias is not None:
            image = self._op("Add", image, bias.reshape(1, outputs, 1, 1).astype(np.float32))
        self._floats[node.outputs[0]] = image
        return True

    def _gemm(self, node: ir.Node) -> bool:
        layer = linear_layer.weights_and_bias(node)
        if layer is None:
            return False
        x, output = self._quantised(_first(node)), node.outputs[0]
        y = self._op("Gemm", self._dequantised(x), *self._layer(x, *layer, 1))
        if self._wanted(output):
            self._bytes[output] = self._quantise(y, output)
        else:
            self._floats[output] = y
        return True

    def _reshape(self, node: ir.Node) -> bool:
        x, shape = self._bytes.get(_first(node)), node.inputs[1]
        if x is None or shape is None:
            return False
        value = self._op("Reshape", x.value, self._float(shape))
        self._bytes[node.outputs[0]] = x._replace(value=value)
        return True

    def _interleave(self, node: ir.Node) -> bool:
        """Interleave bytes in the layout of channels last, by pixels of all channels."""
        values = [value for value in node.inputs if value is not None]
        parts = [self._quantised(value) for value in values]
        if len({part.span for part in parts}) > 1:
            parts = [self._quantise(self._float(value), node.outputs[0]) for value in values]
        (tall, wide), (height, width) = (
            interleave.numbers(node, name) for name in ("strides", "rows")
        )
        channels = self._observed[str(node.outputs[0].name)].shape[0]
        pixel = np.array([-1, height, width, 1, channels])
        last = [self._op("Transpose", part.value, perm=_LAST) for part in parts]
        image = self._op("Concat", *(self._op("Reshape", part, pixel) for part in last), axis=3)
        image = self._op("Reshape", image, np.array([-1, height, width, tall, wide * channels]))
        image = self._op("Transpose", image, perm=(0, 1, 3, 2, 4))
        image = self._op("Reshape", image, np.array([-1, tall * height, wide * width, channels]))
        if interleave.cropped(node):
            begins, sizes = (np.array(interleave.numbers(node, key)) for key in ("begins", "sizes"))
            image = self._op("Slice", image, begins, begins + sizes, np.array([1, 2]))
        image = self._op("Transpose", image, perm=_FIRST)
        self._bytes[node.outputs[0]] = parts[0]._replace(value=image)
        return True

    def _join(self, node: ir.Node) -> bool:
        values = [value for value in node.inputs if value is not None]
        if any(constants.value(value) is not None for value in values):
            return False
        if not self._wanted(node.outputs[0]) or not any(value in self._bytes for value in values):
            return False
        parts = [self._dequantised(self._quantised(value)) for value in values]
        y = self._op(node.op_type, *parts)
        self._bytes[node.outputs[0]] = self._quantise(y, node.outputs[0])
        return True

    def _unary(self, node: ir.Node) -> bool:
        x, output = self._bytes.get(_first(node)), node.outputs[0]
        if x is None or not self._wanted(output):
            return False
        if node.op_type == "Relu" and x.span.zero == 0:  # bytes end at 0 already
            self._bytes[output] = x
            return True
        y = self._op(node.op_type, self._dequantised(x), **node.attributes)
        self._bytes[output] = self._quantise(y, output)
        return True

    # --- which values are needed as bytes, and in which range ------------------------------------

    def _wanted(self, value: ir.Value) -> bool:
        """Return True if an operator that takes bytes reads a value."""
        users = [usage.node for usage in value.uses()]
        passing = _UNARY | _JOINS | _MOVES
        return any(
            user.op_type in _PRODUCTS or (user.op_type in passing and self._wanted(user.outputs[0]))
            for user in users
        )

    def _span(self, value: ir.Value) -> Span:
        """Return a value's range, or that of its sole reader's output for a Relu or a move."""
        user = only_user(value)
        if user is not None and user.op_type in {"Relu", *_MOVES}:
            return self._span(user.outputs[0])
        name = str(value.name)
        if name not in self._spans:
            self._spans[name] = span(self._observed[name].samples, self._power)
        return self._spans[name]

    # --- from floats to bytes and back -----------------------------------------------------------

    def _float(self, value: ir.Value) -> ir.Value:
        if value not in self._floats:
            array = constants.value(value)
            self._floats[value] = (
                self._dequantised(self._bytes[value]) if array is None else self._constant(array)
            )
        return self._floats[value]

    def _quantised(self, value: ir.Value) -> Bytes:
        if value not in self._bytes:
            self._bytes[value] = self._quantise(self._float(value), value)
        return self._bytes[value]

    def _quantise(self, y: ir.Value, old: ir.Value) -> Bytes:
        """Return y as bytes, in the range of the old graph's value that it stands for."""
        span = self._span(old)
        return Bytes(self._op("QuantizeLinear", y, *span), span)

    def _dequantised(self, x: Bytes) -> ir.Value:
        return self._op("DequantizeLinear", x.value, *x.span)

    def _layer(self, x: Bytes, weights: Array, bias: Array | None, axis: int) -> list[ir.Value]:
        """Return weights in int8 and bias in int32, dequantised, with a scale for each output.

        `axis` is the axis of outputs in the weights.
        """
        bias = np.zeros(1) if bias is None else bias
        least = np.abs(bias) / (float(x.span.scale) * 2**30)  # so that the bias fits int32
        dequantised, scale = self._weights(weights, axis, least)
        unit = scale * x.span.scale
        counts = np.rint(np.broadcast_to(bias, scale.shape) / unit.astype(float)).astype(np.int32)
        zeros = np.zeros(len(scale), np.int32)
        return [dequantised, self._op("DequantizeLinear", counts, unit, zeros, axis=0)]

    def _weights(
        self, weights: Array, axis: int, least: Array | float = 0.0
    ) -> tuple[ir.Value, Array]:
        """Return weights in int8, dequantised, and the scale of each output, at least `least`."""
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scale = np.maximum(np.abs(weights).max(axis=others), _heaviest_pair(weights, axis)) / 127
        scale = np.maximum(scale, np.maximum(least, 1e-12)).astype(np.float32)
        rounded = np.rint(weights / np.expand_dims(scale, others)).clip(-127, 127).astype(np.int8)
        zeros = np.zeros(len(scale), np.int8)
        return self._op("DequantizeLinear", rounded, scale, zeros, axis=axis), scale

    def _op(self, kind: str, *inputs: ir.Value | Array | np.generic, **attributes: Any) -> ir.Value:
        values = [
            value if isinstance(value, ir.Value) else self._constant(np.asarray(value))
            for value in inputs
        ]
        return self._tape.op(kind, values, attributes)

    def _constant(self, array: Array) -> ir.Value:
        """Return an initializer; equal arrays share one."""
        key = f"{array.dtype} {array.shape}", array.tobytes()
        if key not in self._constants:
            tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape))
            name = f"constant_{len(self._constants)}"
            self._constants[key] = self._tape.initializer(tensor, name)
        return self._constants[key]


def _heaviest_pair(weights: Array, axis: int) -> Array:
    """Return for each output the largest sum of two neighbouring weights of one sign.

    Without VNNI, x86 adds the products of two bytes and two weights in 16 bits, which overflow
    beyond 128 times 255; pixels would be wrong on such processors alone. Neighbours are those of
    the layout with channels last, as the kernels read them.
    """
    rows = np.moveaxis(weights, axis, 0)
    flat = np.moveaxis(rows, 1, -1).reshape(len(rows), -1)
    signs = (flat.clip(0), -flat.clip(None, 0))
    sums = [(part[:, :-1] + part[:, 1:]).max(axis=1, initial=0) for part in signs]
    heaviest: Array = np.maximum(*sums)
    return heaviest


def _image_convolution(node: ir.Node) -> Convolution | None:
    conv = convolution.read(node)
    if conv is None or len(conv.size) != 2:
        return None
    return conv if conv.bias is None or constants.value(conv.bias) is not None else None


def _bias(conv: Convolution) -> Array | None:
    return constants.value(conv.bias)


def _first(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value
