"""The decoders that `bench_peers.py` measures: four common architectures and the shipped one.

    python benchmarks/decoders.py FOLDER        writes each as a plain ONNX file, M1.onnx and so on

M1 is the decoder of PyTorch's VAE example, M2 a small convolutional decoder for 28 x 28 pixels, M3
the generator of a DCGAN (with a sigmoid where Radford et al. 2015 have tanh), M4 a latent-diffusion
decoder with the architecture of TAESD (without its clamp). Weights are drawn from a seed and scaled
so that activations stay near 1; BatchNorm has the running statistics of a pass over random latents,
as after training, and random gains.

In M2 and M3 a transposed convolution follows the linear layer directly. A compiler can merge the
two into a smaller linear layer, which saves 47 % of M2's multiply-adds and 29 % of M3's. M2+ReLU
and M3+ReLU have an activation between the two, so that nothing can be merged. `export` writes the
graph that a plain call of torch.onnx writes.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).absolute().parents[1]))  # for `train`, which no wheel contains


class Decoder(nn.Sequential):
    """Layers from z (n, *latent_shape) to x_hat, in eval mode; `rows` is the measured batch."""

    def __init__(self, layers: Sequence[nn.Module], latent_shape: tuple[int, ...], rows: int):
        super().__init__(*layers)
        self.latent_shape, self.rows = latent_shape, rows
        self.eval()

    def latents(self, rows: int, seed: int = 7) -> Tensor:
        """Return standard normal z: float32 (rows, *latent_shape)."""
        return torch.randn(rows, *self.latent_shape, generator=_generator(seed))

    @torch.inference_mode()
    def flops(self) -> int:
        """Return the FLOPs of one row, two for each multiply-add."""
        with FlopCounterMode(display=False) as counter:
            self(self.latents(1))
        return counter.get_total_flops()


class Residual(nn.Module):
    """A residual block: relu(x + conv(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv(x))


def m1() -> Decoder:
    layers = [nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()]
    return _seeded(Decoder(layers, (20,), rows=4096))


def m2(*first: nn.Module) -> Decoder:
    """Return the decoder, with the layers `first` after its linear layer."""
    layers = [
        nn.Linear(32, 128 * 7 * 7), *first, nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid(),
    ]  # fmt: skip
    return _seeded(Decoder(layers, (32,), rows=512))


def m3(*first: nn.Module) -> Decoder:
    """Return the decoder, with the layers `first` after its linear layer."""
    layers = [nn.Linear(128, 256 * 4 * 4), *first, nn.Unflatten(1, (256, 4, 4))]
    for wide, narrow in ((256, 128), (128, 64), (64, 32)):
        layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1), nn.BatchNorm2d(narrow)]
        layers += [nn.LeakyReLU(0.2)]
    layers += [nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Sigmoid()]
    return _seeded(Decoder(layers, (128,), rows=512))


def m4() -> Decoder:
    layers = [nn.Conv2d(4, 64, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [Residual(64), Residual(64), Residual(64)]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]
    layers += [nn.Conv2d(64, 3, 3, padding=1)]
    return _seeded(Decoder(layers, (4, 16, 16), rows=32))


def fashion() -> Decoder:
    """Return the decoder of the shipped bundle as a PyTorch module.

    Its weights are read from fashion.onnx beside this file: the bundle's graph may be rewritten.
    """
    import onnx

    from train.model.models import VAE

    graph = onnx.load(Path(__file__).with_name("fashion.onnx")).graph
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    model = VAE((1, 28, 28), latent_dim=40)
    trained = {key: weights[f"model.decoder.{key}"] for key in model.decoder.state_dict()}
    model.decoder.load_state_dict({k: torch.from_numpy(w.copy()) for k, w in trained.items()})
    return Decoder([*model.decoder, nn.Sigmoid()], (model.latent_dim,), rows=512)


DECODERS: dict[str, Callable[[], Decoder]] = {
    "M1": m1, "M2": m2, "M3": m3, "M4": m4, "fashion": fashion,
    "M2+ReLU": lambda: m2(nn.ReLU()), "M3+ReLU": lambda: m3(nn.ReLU()),
}  # fmt: skip


def export(model: Decoder, path: Path) -> None:
    """Write the graph of torch.onnx: z to x_hat, with a dynamic batch, the weights inside."""
    # The exporter warns about every torchvision operator if torchvision is not installed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        model,
        (model.latents(2),),
        dynamo=True,
        input_names=["z"],
        output_names=["x_hat"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        external_data=False,
        verbose=False,
    )
    program.save(path)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def _seeded(model: Decoder) -> Decoder:
    """Draw weights that keep the size of activations (He et al. 2015), and set BatchNorm's."""
    random = _generator(1)
    for layer in reversed([*model.modules()]):  # a module after its parts
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            taps = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # one in stride^2 applies to each pixel
                taps = layer.weight[:, 0].numel() // (layer.stride[0] * layer.stride[1])
            layer.weight.normal_(0, taps**-0.5, generator=random)
            if layer.bias is not None:
                layer.bias.normal_(0, 0.1, generator=random)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.uniform_(0.5, 1.5, generator=random)
            layer.bias.normal_(0, 0.1, generator=random)
            layer.momentum = 1.0  # so that the statistics are those of the pass below
        if isinstance(layer, Residual):
            layer.conv.weight *= 0.5
    model.train()(model.latents(256 if model.rows > 256 else 8, seed=2))
    return model.eval()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in DECODERS.items():
        export(make(), folder / f"{name}.onnx")
        print(folder / f"{name}.onnx")
