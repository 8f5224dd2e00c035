"""Random decoders, drawn by hypothesis: graphs as authors of VAEs may export them.

A decoder is a linear layer or a spatial latent, then transposed convolutions, upsamplings with
convolutions, residual blocks, BatchNorm and activations in any order, with any kernel, stride,
padding, output padding, dilation and group, in one or two dimensions, on odd sizes too. Activations
stay near 1, so that errors can be judged.
"""

import math
from typing import NamedTuple

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

MOST_PIXELS = 600  # of one channel: all of it must run in milliseconds


class Decoder(NamedTuple):
    """An ONNX graph z -> x_hat; `batch` is the one it was traced with, None for any."""

    graph: bytes
    latent_shape: tuple[int, ...]
    batch: int | None

    def __repr__(self) -> str:  # what hypothesis prints of a failure
        graph = onnx.load_from_string(self.graph).graph
        nodes = "\n".join(helper.printable_node(node) for node in graph.node)
        return f"<decoder of z {self.latent_shape}, batch {self.batch}>\n{nodes}"


@st.composite
def decoders(draw: st.DrawFn) -> Decoder:
    """Draw complete decoders, of any opset from 11 and with a free or a fixed batch."""
    build = Build(draw)
    latent_shape = build.spatial_latent() if draw(st.booleans()) else build.linear_latent()
    if len(build.shape) > 1:
        for layer in draw(st.lists(st.sampled_from(SPATIAL), min_size=1, max_size=4)):
            layer(build)
            build.rest()
        if draw(st.booleans()):
            build.convolution(channels=draw(st.sampled_from([1, 3])))
    build.finish()
    return build.decoder(latent_shape)


class Build:
    """A graph in the making: `value` has the name and `shape` the sizes, but for the batch."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 99)))
        self.opset = draw(st.integers(11, 22))
        self.batch = draw(st.sampled_from([None, None, 1, 3]))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.value = "z"
        self.shape: tuple[int, ...] = ()

    # --- beginnings ---------------------------------------------------------------------------

    def spatial_latent(self) -> tuple[int, ...]:
        self.shape = (self.draw(channels), *self.sizes(1, 5))
        return self.shape

    def linear_latent(self) -> tuple[int, ...]:
        """Add linear layers, and in most cases unfold their features into channels."""
        self.shape = latent_shape = (self.draw(st.integers(1, 9)),)
        for _ in range(self.draw(st.integers(1, 2))):
            self.linear(self.draw(st.integers(1, 20)))
            self.rest()
        if self.draw(st.integers(0, 4)):
            shape = (self.draw(channels), *self.sizes(1, 5))
            self.linear(math.prod(shape))
            self.rest()
            first = self.draw(st.sampled_from([-1, 0])) if self.batch is None else self.batch
            self.add("Reshape", [self.constant(np.array([first, *shape]))], shape)
        return latent_shape

    def linear(self, features: int) -> None:
        inputs = self.shape[0]
        weight = self.normal(inputs, features) / math.sqrt(inputs)
        bias = self.constant(self.normal(features))
        kind = self.draw(st.sampled_from(["Gemm", "Gemm transposed", "MatMul", "MatMul and Add"]))
        if kind == "Gemm":
            self.add("Gemm", [self.constant(weight), bias], (features,))
        elif kind == "Gemm transposed":
            self.add("Gemm", [self.constant(weight.T), bias], (features,), transB=1)
        else:
            self.add("MatMul", [self.constant(weight)], (features,))
            if kind == "MatMul and Add":
                self.add("Add", [bias], (features,))

    # --- layers -------------------------------------------------------------------------------

    def transposed_convolution(self) -> None:
        draw, rank = self.draw, len(self.shape) - 1
        outputs, group = self.grouped()
        kernel, stride, dilation = (self.each(rank, 1, most) for most in (5, 3, 2))
        extra = [draw(st.integers(0, step - 1)) for step in stride]
        # At most what the kernel reaches beyond the input, and never more than there is.
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        before = [draw(st.integers(0, most)) for most in reach]
        after = [draw(st.integers(0, most)) for most in reach]

        def size(axis: int) -> int:
            whole = stride[axis] * (self.shape[1 + axis] - 1) + reach[axis] + 1
            return whole + extra[axis] - before[axis] - after[axis]

        for axis in range(rank):
            if size(axis) < 1:
                before[axis] = after[axis] = 0
        shape = (outputs, *map(size, range(rank)))
        if math.prod(shape[1:]) > MOST_PIXELS:
            return
        how: dict[str, object] = {"pads": before + after}
        rule = draw(st.sampled_from([*[""] * 6, "SAME_UPPER", "SAME_LOWER", "output_shape"]))
        reaches = all(r >= s - 1 for r, s in zip(reach, stride, strict=True))
        if rule == "output_shape" and all(map(int.__ge__, shape[1:], self.shape[1:])):
            how = {"output_shape": list(shape[1:])}
        elif rule.startswith("SAME") and reaches and not any(extra):
            how = {"auto_pad": rule}
            shape = (outputs, *(n * s for n, s in zip(self.shape[1:], stride, strict=True)))
        taps = self.shape[0] / group * math.prod(k / s for k, s in zip(kernel, stride, strict=True))
        weight = self.normal(self.shape[0], outputs // group, *kernel) / math.sqrt(max(taps, 1))
        self.add(
            "ConvTranspose",
            [self.constant(weight), *self.bias(outputs)],
            shape,
            group=group,
            kernel_shape=kernel,
            strides=stride,
            dilations=dilation,
            output_padding=extra,
            **how,
        )

    def convolution(self, channels: int | None = None) -> None:
        draw, rank = self.draw, len(self.shape) - 1
        outputs, group = (channels, 1) if channels else self.grouped()
        kernel, dilation = self.each(rank, 1, 5), self.each(rank, 1, 2)
        stride = draw(st.sampled_from([[1] * rank, [1] * rank, [2] * rank]))
        reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        same = [r // 2 for r in reach]
        pads = same + [r - s for r, s in zip(reach, same, strict=True)]
        if draw(st.booleans()):
            pads = [draw(st.integers(0, most)) for most in reach + reach]
        padded = [n + pads[i] + pads[i + rank] - reach[i] for i, n in enumerate(self.shape[1:])]
        if min(padded) < 1:
            return
        shape = (outputs, *((n - 1) // s + 1 for n, s in zip(padded, stride, strict=True)))
        fan = self.shape[0] // group * math.prod(kernel)
        weight = self.normal(outputs, self.shape[0] // group, *kernel) / math.sqrt(fan)
        how: dict[str, object] = {"pads": pads}
        rule = draw(st.sampled_from([*[""] * 6, "SAME_UPPER", "SAME_LOWER"]))
        if rule and max(dilation) == 1:  # onnxruntime has no other
            how = {"auto_pad": rule}
            shape = (outputs, *(-(-n // s) for n, s in zip(self.shape[1:], stride, strict=True)))
        self.add(
            "Conv",
            [self.constant(weight), *self.bias(outputs)],
            shape,
            group=group,
            kernel_shape=kernel,
            strides=stride,
            dilations=dilation,
            **how,
        )

    def upsampling(self) -> None:
        """Upsample by nearest neighbours, in any coordinate mode, or linearly."""
        draw = self.draw
        scale = draw(st.sampled_from([2, 2, 3]))
        shape = (self.shape[0], *(scale * size for size in self.shape[1:]))
        if math.prod(shape[1:]) > MOST_PIXELS:
            return
        scales = np.array([1, 1, *[scale] * (len(shape) - 1)], np.float32)
        absent = "" if self.opset > 12 else self.constant(np.zeros(0, np.float32))
        how = [absent, self.constant(scales)]
        if self.batch is not None and draw(st.booleans()):
            how = [absent, absent, self.constant(np.array([self.batch, *shape]))]
        mode = draw(st.sampled_from(MODES))
        self.add("Resize", how, shape, **mode)
        if draw(st.booleans()):
            self.convolution()

    def residual(self) -> None:
        """Add x + activation(conv(x)) with a kernel of 3, which keeps the size."""
        skip, rank, channels = self.value, len(self.shape) - 1, self.shape[0]
        weight = self.normal(channels, channels, *[3] * rank) / math.sqrt(channels * 3**rank)
        inputs = [self.constant(weight), *self.bias(channels)]
        self.add("Conv", inputs, self.shape, kernel_shape=[3] * rank, pads=[1] * 2 * rank)
        self.rest()
        self.add("Add", [skip], self.shape)

    def rest(self) -> None:
        """Add BatchNorm, an affine map and an activation after a layer, each or none."""
        kinds = ["BatchNormalization", "scale", "shift", "Identity", *ACTIVATIONS, "SiLU"]
        for kind in self.draw(st.lists(st.sampled_from(kinds), max_size=2)):
            if kind == "BatchNormalization":
                self.batch_norm()
            elif kind in ("scale", "shift"):
                self.affine({"scale": "Mul", "shift": "Add"}[kind])
            elif kind == "SiLU":
                before = self.value
                self.add("Sigmoid", [], self.shape)
                self.add("Mul", [before], self.shape)
            else:
                self.add(kind, [], self.shape, **ACTIVATIONS.get(kind, {}))

    def batch_norm(self) -> None:
        """After a linear layer too."""
        count = self.shape[0]
        gains, variance = self.random.uniform(0.5, 1.5, (2, count)).astype(np.float32)
        arrays = gains, self.normal(count), self.normal(count), variance
        self.add("BatchNormalization", list(map(self.constant, arrays)), self.shape, epsilon=1e-3)

    def affine(self, kind: str) -> None:
        """Scale or shift by one number, or by one for each channel."""
        each = (self.shape[0], *[1] * (len(self.shape) - 1))
        shape = self.draw(st.sampled_from([(), (1,), each, (1, *each)]))
        array = self.random.uniform(-1.5, 1.5, shape).astype(np.float32)
        self.add(kind, [self.constant(array)], self.shape)

    # --- ends ---------------------------------------------------------------------------------

    def finish(self) -> None:
        self.add(self.draw(st.sampled_from(["Sigmoid", "Tanh", "Identity"])), [], self.shape)

    def decoder(self, latent_shape: tuple[int, ...]) -> Decoder:
        rows = "batch" if self.batch is None else self.batch
        self.nodes[-1].output[0] = "x_hat"
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, [rows, *latent_shape])],
            [helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, [rows, *self.shape])],
            self.constants,
        )
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        onnx.checker.check_model(model)  # not in full: it has wrong sizes for auto_pad
        return Decoder(model.SerializeToString(), latent_shape, self.batch)

    # --- parts --------------------------------------------------------------------------------

    def add(self, kind: str, inputs: list[str], shape: tuple[int, ...], **attributes) -> None:
        """Add a node that takes the current value and more inputs, with a new shape."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], [output], **attributes))
        self.value, self.shape = output, shape

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def normal(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape, np.float32)

    def bias(self, outputs: int) -> list[str]:
        return [self.constant(self.normal(outputs))] if self.draw(st.booleans()) else []

    def grouped(self) -> tuple[int, int]:
        """Output channels, and a number of groups that divides both channels."""
        inputs = self.shape[0]
        group = self.draw(st.sampled_from([g for g in (1, 1, 2, 3, inputs) if inputs % g == 0]))
        return group * self.draw(st.integers(1, max(1, 8 // group))), group

    def sizes(self, least: int, most: int) -> list[int]:
        rank = self.draw(st.sampled_from([2, 2, 2, 1]))
        return self.each(rank, least, most)

    def each(self, rank: int, least: int, most: int) -> list[int]:
        """Draw a number for each dimension, most often the same."""
        same = self.draw(st.integers(least, most))
        if self.draw(st.integers(0, 2)):
            return [same] * rank
        return [self.draw(st.integers(least, most)) for _ in range(rank)]


channels = st.one_of(st.integers(1, 8), st.sampled_from([16, 17]))
SPATIAL = (
    Build.transposed_convolution,
    Build.transposed_convolution,
    Build.upsampling,
    Build.convolution,
    Build.residual,
)
ACTIVATIONS = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.1},
    "Elu": {},
    "Sigmoid": {},
    "Tanh": {},
    "Softplus": {},
}
MODES = (
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": "nearest"},
    {"coordinate_transformation_mode": "half_pixel", "mode": "nearest"},
    {
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_ceil",
        "mode": "nearest",
    },
    {"coordinate_transformation_mode": "half_pixel", "mode": "linear"},
)
