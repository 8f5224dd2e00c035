"""The models that `bench_floor.py` measures: an encoder and a decoder of each common kind.

    python benchmarks/floor_graphs.py FOLDER        writes NAME.encoder.onnx and NAME.decoder.onnx

Each is exported with PyTorch's default exporter and a dynamic batch, as users do, except `keras`,
whose graphs are those that tf2onnx writes for channels-last layers, and the shipped bundles. The
weights are PyTorch's initial ones of a fixed seed: what a graph costs does not depend on them.
M1 to M4 are those of `decoders.py`.
"""

import logging
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import decoders
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

ZOO = Path(__file__).absolute().parents[1] / "edgevae" / "zoo"

Graph = nn.Module | onnx.ModelProto


class Model(NamedTuple):
    """An encoder from x to mu and logvar, a decoder from z to x_hat, and facts about x."""

    encoder: Graph
    decoder: Graph
    x_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    kind: str = "vector"
    x_range: tuple[float, float] | None = None


class Encoder(nn.Module):
    """Layers from x to features, and one head for each of mu and logvar."""

    def __init__(self, body: nn.Module, head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.body, self.mu, self.logvar = body, head(), head()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return self.mu(features), self.logvar(features)


class Last(nn.Module):
    """The outputs (n, steps, hidden) of a recurrent layer, or only those of the last step."""

    def __init__(self, layer: nn.Module, *, all_steps: bool = False) -> None:
        super().__init__()
        self.layer, self.all_steps = layer, all_steps

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.layer(x)
        return steps if self.all_steps else steps[:, -1]


class Repeat(nn.Module):
    """Repeat (n, hidden) for each of some steps: (n, steps, hidden)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, z: Tensor) -> Tensor:
        return z[:, None].expand(-1, self.steps, -1)


class Attention(nn.Module):
    """Self-attention over the pixels of (n, channels, height, width), as in diffusion models."""

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # One head: q, k and v are (n, 1, pixels, channels).
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)[:, None].chunk(3, 3)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(mixed[:, 0].transpose(1, 2).reshape(x.shape))


class Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x))))))."""

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        layers = [nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, 1, 1)]
        layers += [nn.GroupNorm(groups, channels), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, channels, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def mlp(
    sizes: tuple[int, ...], layers: Callable[[int], list[nn.Module]], *last: nn.Module
) -> Model:
    """Return linear layers of `sizes` from z to x_hat, with `layers(width)` after each hidden one.

    The encoder has the same sizes from x to z.
    """

    def body(sizes: tuple[int, ...]) -> list[nn.Module]:
        steps = [[nn.Linear(n, width), *layers(width)] for n, width in pairwise(sizes)]
        return [layer for step in steps for layer in step]

    encoder = Encoder(nn.Sequential(*body(sizes[:0:-1])), lambda: nn.Linear(sizes[1], sizes[0]))
    decoder = nn.Sequential(*body(sizes[:-1]), nn.Linear(*sizes[-2:]), *last)
    return Model(encoder, decoder, sizes[-1:], sizes[:1])


def mlp_small() -> Model:
    return mlp((4, 32, 16), lambda width: [nn.ReLU()])


def mlp_medium() -> Model:
    return mlp((8, 64, 128, 64), lambda width: [nn.Tanh()])


def mlp_wide() -> Model:
    return mlp((32, 1024, 1024, 784), lambda width: [nn.ReLU()], nn.Sigmoid())


def mlp_batchnorm() -> Model:
    return mlp((20, 256, 256), lambda width: [nn.BatchNorm1d(width), nn.ReLU()])


def mlp_layernorm() -> Model:
    return mlp((16, 256, 128), lambda width: [nn.LayerNorm(width), nn.ReLU()])


def mlp_gelu() -> Model:
    return mlp((16, 256, 256, 64), lambda width: [nn.LayerNorm(width), nn.GELU()])


def conv1d() -> Model:
    """Return a model of 4 features and 128 steps with transposed convolutions."""
    encoder = [nn.Conv1d(4, 32, 4, 2, 1), nn.ReLU(), nn.Conv1d(32, 64, 4, 2, 1), nn.ReLU()]
    decoder = [nn.Linear(16, 64 * 32), nn.ReLU(), nn.Unflatten(1, (64, 32))]
    decoder += [nn.ConvTranspose1d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose1d(32, 4, 4, 2, 1)]
    body = nn.Sequential(*encoder, nn.Flatten())
    encode = Encoder(body, lambda: nn.Linear(64 * 32, 16))
    return Model(encode, nn.Sequential(*decoder), (4, 128), (16,), "signal")


def conv1d_upsample() -> Model:
    """Return a model of 2 features and 64 steps with nearest upsampling and convolutions."""
    encoder = [nn.Conv1d(2, 16, 5, 2, 2), nn.ELU(), nn.Conv1d(16, 32, 5, 2, 2), nn.ELU()]
    decoder = [nn.Linear(8, 32 * 16), nn.Unflatten(1, (32, 16))]
    for wide, narrow in ((32, 32), (32, 16)):
        decoder += [nn.Upsample(scale_factor=2), nn.Conv1d(wide, narrow, 5, padding=2), nn.ELU()]
    decoder.append(nn.Conv1d(16, 2, 5, padding=2))
    body = nn.Sequential(*encoder, nn.Flatten())
    encode = Encoder(body, lambda: nn.Linear(32 * 16, 8))
    return Model(encode, nn.Sequential(*decoder), (2, 64), (8,), "signal")


def recurrent(layer: type[nn.RNNBase]) -> Model:
    """Return a model of 32 steps of 8 features, whose decoder gets z at each step."""
    encoder = Encoder(Last(layer(8, 64, batch_first=True)), lambda: nn.Linear(64, 8))
    steps = Last(layer(8, 64, batch_first=True), all_steps=True)
    decoder = nn.Sequential(Repeat(32), steps, nn.Linear(64, 8))
    return Model(encoder, decoder, (32, 8), (8,), "signal")


def convolutions(channels: int, *layers: nn.Module, side: int) -> Model:
    """Return an image model whose decoder is a linear layer to (channels, 8, 8) and `layers`."""
    encoder: list[nn.Module] = []
    wide, size = 3, side
    while size > 8:
        encoder += [nn.Conv2d(wide, channels, 4, 2, 1), nn.ReLU()]
        wide, size = channels, size // 2
    body = nn.Sequential(*encoder, nn.Flatten())
    decoder = [nn.Linear(32, channels * 64), nn.Unflatten(1, (channels, 8, 8)), *layers]
    encode = Encoder(body, lambda: nn.Linear(channels * 64, 32))
    x_shape = (3, side, side)
    return Model(encode, nn.Sequential(*decoder, nn.Sigmoid()), x_shape, (32,), "image", (0, 1))


def groupnorm_attention() -> Model:
    layers = [Residual(64), Attention(64), Residual(64)]
    for _ in range(2):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1), Residual(64)]
    layers += [nn.GroupNorm(8, 64), nn.SiLU(), nn.Conv2d(64, 3, 3, padding=1)]
    return convolutions(64, *layers, side=32)


def pixelshuffle() -> Model:
    layers = []
    for _ in range(2):
        layers += [nn.Conv2d(48, 4 * 48, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(0.1)]
    return convolutions(48, *layers, nn.Conv2d(48, 3, 3, padding=1), side=32)


def bilinear() -> Model:
    layers = []
    for _ in range(3):
        layers += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(32, 32, 3, padding=1)]
        layers += [nn.BatchNorm2d(32), nn.ReLU()]
    return convolutions(32, *layers, nn.Conv2d(32, 3, 3, padding=1), side=64)


def keras() -> Model:
    """Return the graphs that tf2onnx writes for the VAE of Keras's examples, without its sampling.

    Channels come last in x and x_hat: the graphs transpose around convolutions.
    """
    random = np.random.default_rng(1)
    weights: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def add(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(name: str, *shape: int) -> str:
        values = random.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def shape(name: str, *values: int) -> str:
        weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def dense(x: str, name: str, n: int, m: int) -> str:
        product = add("MatMul", [x, weight(f"{name}/kernel", n, m)], f"{name}/MatMul")
        return add("Add", [product, weight(f"{name}/bias", m)], f"{name}/BiasAdd")

    def graph(inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]) -> Graph:
        made = helper.make_graph(
            [*nodes], "tf2onnx", _ports(inputs), _ports(outputs), initializer=[*weights]
        )
        nodes.clear()
        weights.clear()
        return helper.make_model(
            made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="tf2onnx"
        )

    x = add("Transpose", ["x"], "conv_0/Transpose", perm=[0, 3, 1, 2])
    for i, (n, m) in enumerate(((1, 32), (32, 64))):
        inputs = [x, weight(f"conv_{i}/kernel", m, n, 3, 3), weight(f"conv_{i}/bias", m)]
        x = add("Conv", inputs, f"conv_{i}", strides=[2, 2], auto_pad="SAME_UPPER")
        x = add("Relu", [x], f"conv_{i}/Relu")
    x = add("Transpose", [x], "flatten/Transpose", perm=[0, 2, 3, 1])
    x = add("Reshape", [x, shape("flatten/shape", -1, 7 * 7 * 64)], "flatten")
    x = add("Relu", [dense(x, "dense", 7 * 7 * 64, 16)], "dense/Relu")
    for output in ("mu", "logvar"):
        add("Identity", [dense(x, output, 16, 2)], output)
    image, latent = (28, 28, 1), (2,)
    encoder = graph({"x": image}, {"mu": latent, "logvar": latent})

    x = add("Relu", [dense("z", "dense", 2, 7 * 7 * 64)], "dense/Relu")
    x = add("Reshape", [x, shape("reshape/shape", -1, 7, 7, 64)], "reshape")
    x = add("Transpose", [x], "deconv/Transpose", perm=[0, 3, 1, 2])
    for i, (n, m) in enumerate(((64, 64), (64, 32))):
        inputs = [x, weight(f"deconv_{i}/kernel", n, m, 3, 3), weight(f"deconv_{i}/bias", m)]
        pads, more = [0, 0, 1, 1], {"output_padding": [0, 0]}
        x = add("ConvTranspose", inputs, f"deconv_{i}", strides=[2, 2], pads=pads, **more)
        x = add("Relu", [x], f"deconv_{i}/Relu")
    inputs = [x, weight("last/kernel", 1, 32, 3, 3), weight("last/bias", 1)]
    x = add("Conv", inputs, "last", pads=[1, 1, 1, 1])
    x = add("Transpose", [add("Sigmoid", [x], "last/Sigmoid")], "x_hat", perm=[0, 2, 3, 1])
    return Model(encoder, graph({"z": latent}, {"x_hat": image}), image, latent, "image", (0, 1))


def _ports(shapes: dict[str, tuple[int, ...]]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["unk__1", *shape])
        for name, shape in shapes.items()
    ]


def numbered(make: Callable[[], decoders.Decoder], x_shape: tuple[int, ...]) -> Model:
    """Return a decoder of `decoders.py` with an encoder of its kind."""
    decoder = make()
    latent_shape = decoder.latent_shape
    if len(latent_shape) == 3:
        return Model(_residual_encoder(x_shape, latent_shape), decoder, x_shape, latent_shape,
                     "image", (0, 1))  # fmt: skip
    if len(x_shape) == 1:
        body, width = nn.Sequential(nn.Linear(x_shape[0], 400), nn.ReLU()), 400
        kind, x_range = "vector", None
    else:
        channels, side, steps = 32, x_shape[1], []
        wide = x_shape[0]
        while side % 2 == 0:
            steps += [nn.Conv2d(wide, channels, 4, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
            wide, channels, side = channels, min(2 * channels, 256), side // 2
            if side <= 7:
                break
        body, width = nn.Sequential(*steps, nn.Flatten()), wide * side * side
        kind, x_range = "image", (0.0, 1.0)
    encoder = Encoder(body, lambda: nn.Linear(width, latent_shape[0]))
    return Model(encoder, decoder, x_shape, latent_shape, kind, x_range)


def _residual_encoder(x_shape: tuple[int, ...], latent_shape: tuple[int, ...]) -> Encoder:
    """Return the mirror image of M4's decoder, with strided convolutions."""
    layers: list[nn.Module] = [nn.Conv2d(x_shape[0], 64, 3, padding=1)]
    for _ in range(3):
        layers += [nn.Conv2d(64, 64, 3, 2, 1, bias=False)]
        layers += [decoders.Residual(64) for _ in range(3)]
    return Encoder(nn.Sequential(*layers), lambda: nn.Conv2d(64, latent_shape[0], 3, padding=1))


def taesd_256() -> Model:
    """Return M4 with latents of 32 x 32: pictures of 256 pixels."""
    return numbered(decoders.m4, (3, 128, 128))._replace(
        x_shape=(3, 256, 256), latent_shape=(4, 32, 32)
    )


def fashion() -> Model:
    encoder = onnx.load(ZOO / "fashion" / "encoder.onnx")
    decoder = onnx.load(Path(decoders.__file__).with_name("fashion.onnx"))
    return Model(encoder, decoder, (1, 28, 28), (40,), "image", (0, 1))


def names() -> Model:
    encoder, decoder = (
        onnx.load(ZOO / "names" / f"{role}.onnx") for role in ("encoder", "decoder")
    )
    x_shape, latent_shape = (
        tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])
        for model in (encoder, decoder)
    )
    return Model(encoder, decoder, x_shape, latent_shape, "text")


SHIPPED = ("fashion", "names")  # which are measured as they are

MODELS: dict[str, Callable[[], Model]] = {
    "mlp_small": mlp_small, "mlp_medium": mlp_medium, "mlp_wide": mlp_wide,
    "mlp_batchnorm": mlp_batchnorm, "mlp_layernorm": mlp_layernorm, "mlp_gelu": mlp_gelu,
    "conv1d": conv1d, "conv1d_upsample": conv1d_upsample,
    "lstm": lambda: recurrent(nn.LSTM), "gru": lambda: recurrent(nn.GRU),
    "groupnorm_attention": groupnorm_attention, "pixelshuffle": pixelshuffle,
    "bilinear": bilinear, "keras": keras,
    "M1": lambda: numbered(decoders.m1, (784,)), "M2": lambda: numbered(decoders.m2, (1, 28, 28)),
    "M3": lambda: numbered(decoders.m3, (3, 64, 64)),
    "M4": lambda: numbered(decoders.m4, (3, 128, 128)), "taesd_256": taesd_256,
    "fashion": fashion, "names": names,
}  # fmt: skip


def export(graph: Graph, shape: tuple[int, ...], names: tuple[str, ...], path: Path) -> None:
    """Write a graph whose first name is its input's, of `shape` without the batch."""
    if isinstance(graph, onnx.ModelProto):
        onnx.save(graph, path)
        return
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        graph.eval(), (example,), dynamo=True, input_names=names[:1], output_names=names[1:],
        dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False, verbose=False,
    )  # fmt: skip
    program.save(path)


def write(name: str, folder: Path) -> Model:
    """Write the graphs of a model as NAME.encoder.onnx and NAME.decoder.onnx; return the model."""
    torch.manual_seed(0)
    model = MODELS[name]()
    encoder, decoder = (folder / f"{name}.{role}.onnx" for role in ("encoder", "decoder"))
    export(model.encoder, model.x_shape, ("x", "mu", "logvar"), encoder)
    export(model.decoder, model.latent_shape, ("z", "x_hat"), decoder)
    return model


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or MODELS:
        write(name, folder)
        print(name)
