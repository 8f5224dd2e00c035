"""Static int8: what convolutions and linear layers read and write becomes bytes.

Activations are uint8 with one scale a tensor, weights int8 with one scale an output, sums int32.
The graph is standard ONNX, float operators between DequantizeLinear and QuantizeLinear (QDQ),
which onnxruntime fuses into its integer kernels; images are woven with their channels last, as
those kernels have them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import class_input as classes
from edgevae.compiler.graphs import constants, convolution, interleave, shapes
from edgevae.compiler.graphs import linear_layer as matrix
from edgevae.compiler.graphs import rename as names
from edgevae.compiler.graphs.constants import Array
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import only_user
from edgevae.compiler.graphs.parity import Floats, Runner
from edgevae.compiler.int8 import equalise
from edgevae.compiler.int8.ranges import Seen, Span, observe, span
from edgevae.compiler.rewrites import merge_linear as linear
from edgevae.compiler.rewrites import pipeline as passes
from edgevae.compiler.rewrites import scatter_narrow as narrow
from edgevae.compiler.rewrites import split_phases as phases
from edgevae.compiler.rewrites import split_upsample as upsample

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm"}
_JOINS = {"Add", "Mul"}
_UNARY = {"Relu", "LeakyRelu", "Sigmoid"}
_MOVES = {"Reshape", interleave.OP}
_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels
_COL2IM = 18  # the opset that has it
_POWERS = (1.5, 2.0, 4.0)  # of the error that ranges make least: which is best, graphs differ


class Bytes(NamedTuple):
    """A uint8 value, and what its bytes stand for."""

    value: ir.Value
    span: Span


def quantise(model: ir.Model, items: Floats) -> ir.Model:
    """The graph of one input in int8, from one in normal form, which is left as it is.

    items: float32 (rows, *shape), some hundred such as the graph will see; ranges are those that
    lose least on them.
    """
    model = model.clone()
    for rewrite in (linear.rewrite, phases.rewrite, upsample.rewrite, narrow.rewrite):
        rewrite(model)
    if any(len(interleave.numbers(node, "rows")) != 2 for node in interleave.nodes(model)):
        interleave.lower(model)
    seen = observe(model, items)
    for node in model.graph:
        for value in node.outputs:
            if value.name in seen:
                value.dtype = ir.DataType.FLOAT
                value.shape = ir.Shape([shapes.BATCH, *seen[str(value.name)].shape])
    if equalise.rewrite(model, {name: of.peaks for name, of in seen.items()}):
        seen = observe(model, items)
    right = Runner(passes.lowered(model), "float32").run(items)
    made = [_Quantiser(model, seen, power).run() for power in _POWERS]
    best = min(made, key=lambda graph: _error(right, Runner(graph, "int8").run(items)))
    names.tidy(best)
    return best


def _error(right: list[Floats], got: list[Floats]) -> float:
    """The mean square of what the outputs lack, relative to their variance."""
    pairs = zip(right, got, strict=True)
    return sum(float(np.square(a - b).mean() / max(a.var(), 1e-12)) for a, b in pairs)


class _Quantiser:
    """Writes a new graph, node by node. A value of the old one is there as floats, as bytes, or
    both, whichever was asked for."""

    def __init__(self, model: ir.Model, seen: dict[str, Seen], power: float) -> None:
        self._old = model
        self._seen = seen
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
        classes.keep(self._old, model)
        return model

    # --- operators: each tells whether it could write the node -----------------------------------

    def _copy(self, node: ir.Node) -> None:
        """In float32, as it was."""
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
        given = _image_convolution(node)
        if given is None or not self._wanted(node.outputs[0]):
            return False
        x = self._quantised(given.x)
        layer = self._layer(x, given.weights, _bias(given), 0)
        y = self._op("Conv", self._dequantised(x), *layer, **node.attributes)
        self._bytes[node.outputs[0]] = self._quantise(y, node.outputs[0])
        return True

    def _scatter(self, node: ir.Node) -> bool:
        """A transposed convolution, such as has few outputs: the products of a pixel with all
        taps are one row of a matrix; then each is added to its pixel, in float32."""
        given = _image_convolution(node)
        if given is None or given.group > 1 or self._old.opset_imports[""] < _COL2IM:
            return False
        inputs, outputs = given.weights.shape[:2]
        x = self._quantised(given.x)
        last = self._op("Transpose", x.value, perm=_LAST)
        pixels = x._replace(value=self._op("Reshape", last, np.array([-1, inputs])))
        layer = self._layer(pixels, given.weights.reshape(inputs, -1), np.zeros(1), 1)
        products = self._op("Gemm", self._dequantised(pixels), *layer)
        count, taps = int(np.prod(given.size)), int(np.prod(given.weights.shape[1:]))
        columns = self._op("Reshape", products, np.array([-1, count, taps]))
        image = self._op(
            "Col2Im",
            self._op("Transpose", columns, perm=(0, 2, 1)),
            np.array(given.out),
            np.array(given.kernel),
            strides=given.strides,
            dilations=given.dilations,
            pads=[*given.begins, *given.ends],
        )
        bias = _bias(given)
        if bias is not None:
            image = self._op("Add", image, bias.reshape(1, outputs, 1, 1).astype(np.float32))
        self._floats[node.outputs[0]] = image
        return True

    def _gemm(self, node: ir.Node) -> bool:
        layer = matrix.weights_and_bias(node)
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
        """By whole pixels of all channels."""
        values = [value for value in node.inputs if value is not None]
        parts = [self._quantised(value) for value in values]
        if len({part.span for part in parts}) > 1:
            parts = [self._quantise(self._float(value), node.outputs[0]) for value in values]
        (tall, wide), (height, width) = (
            interleave.numbers(node, name) for name in ("strides", "rows")
        )
        channels = self._seen[str(node.outputs[0].name)].shape[0]
        pixel = np.array([-1, height, width, 1, channels])
        last = [self._op("Transpose", part.value, perm=_LAST) for part in parts]
        whole = self._op("Concat", *(self._op("Reshape", part, pixel) for part in last), axis=3)
        whole = self._op("Reshape", whole, np.array([-1, height, width, tall, wide * channels]))
        whole = self._op("Transpose", whole, perm=(0, 1, 3, 2, 4))
        whole = self._op("Reshape", whole, np.array([-1, tall * height, wide * width, channels]))
        if interleave.cropped(node):
            begins, sizes = (np.array(interleave.numbers(node, key)) for key in ("begins", "sizes"))
            whole = self._op("Slice", whole, begins, begins + sizes, np.array([1, 2]))
        whole = self._op("Transpose", whole, perm=_FIRST)
        self._bytes[node.outputs[0]] = parts[0]._replace(value=whole)
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
        if node.op_type == "Relu" and x.span.zero == 0:  # where bytes end, it has cut off already
            self._bytes[output] = x
            return True
        y = self._op(node.op_type, self._dequantised(x), **node.attributes)
        self._bytes[output] = self._quantise(y, output)
        return True

    # --- who wants bytes, and in what range ------------------------------------------------------

    def _wanted(self, value: ir.Value) -> bool:
        """Whether an operator that takes bytes reads a value."""
        users = [usage.node for usage in value.uses()]
        passing = _UNARY | _JOINS | _MOVES
        return any(
            user.op_type in _PRODUCTS or (user.op_type in passing and self._wanted(user.outputs[0]))
            for user in users
        )

    def _span(self, value: ir.Value) -> Span:
        """That of what a value alone becomes, where it is only moved, or cut off at 0."""
        user = only_user(value)
        if user is not None and user.op_type in {"Relu", *_MOVES}:
            return self._span(user.outputs[0])
        name = str(value.name)
        if name not in self._spans:
            self._spans[name] = span(self._seen[name].samples, self._power)
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
        """Bytes of y, in the range of the value that it stands for."""
        span = self._span(old)
        return Bytes(self._op("QuantizeLinear", y, *span), span)

    def _dequantised(self, x: Bytes) -> ir.Value:
        return self._op("DequantizeLinear", x.value, *x.span)

    def _layer(self, x: Bytes, weights: Array, bias: Array | None, axis: int) -> list[ir.Value]:
        """Weights in int8 and bias in int32, with a scale for each output; outputs are on axis."""
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scale = np.maximum(np.abs(weights).max(axis=others), _heaviest_pair(weights, axis)) / 127
        if bias is None:
            bias = np.zeros(1)
        scale = np.maximum(scale, np.abs(bias) / (float(x.span.scale) * 2**30))  # to fit int32
        scale = np.maximum(scale, 1e-12).astype(np.float32)
        zeros = np.zeros(len(scale), np.int8)
        whole = np.rint(weights / np.expand_dims(scale, others)).clip(-127, 127).astype(np.int8)
        unit = scale * x.span.scale
        counts = np.rint(np.broadcast_to(bias, scale.shape) / unit.astype(float)).astype(np.int32)
        return [
            self._op("DequantizeLinear", whole, scale, zeros, axis=axis),
            self._op("DequantizeLinear", counts, unit, zeros.astype(np.int32), axis=0),
        ]

    def _op(self, kind: str, *inputs: ir.Value | Array | np.generic, **attributes: Any) -> ir.Value:
        values = [
            value if isinstance(value, ir.Value) else self._constant(np.asarray(value))
            for value in inputs
        ]
        return self._tape.op(kind, values, attributes)

    def _constant(self, array: Array) -> ir.Value:
        """An initializer; equal ones are one."""
        key = f"{array.dtype} {array.shape}", array.tobytes()
        if key not in self._constants:
            tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape))
            name = f"constant_{len(self._constants)}"
            self._constants[key] = self._tape.initializer(tensor, name)
        return self._constants[key]


def _heaviest_pair(weights: Array, axis: int) -> Array:
    """The largest sum, of one sign, of two weights of an output that are multiplied together.

    Without VNNI, x86 adds the products of two bytes and two weights in 16 bits, which end at 128
    times 255: beyond, pixels would be lost, on such processors alone. Two are neighbours with
    channels last, as the kernels read them.
    """
    rows = np.moveaxis(weights, axis, 0)
    flat = np.moveaxis(rows, 1, -1).reshape(len(rows), -1)
    signs = (flat.clip(0), -flat.clip(None, 0))
    sums = [(part[:, :-1] + part[:, 1:]).max(axis=1, initial=0) for part in signs]
    heaviest: Array = np.maximum(*sums)
    return heaviest


def _image_convolution(node: ir.Node) -> Convolution | None:
    given = convolution.read(node)
    if given is None or len(given.size) != 2:
        return None
    return given if given.bias is None or constants.value(given.bias) is not None else None


def _bias(given: Convolution) -> Array | None:
    return constants.value(given.bias)


def _first(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value
