"""Measure decoders of other libraries, before and after `edgevae compile`.

    pip install '.[train]' diffusers pythae && python benchmarks/bench_foreign.py

Each is a decoder of pythae or diffusers with random weights, exported by the TorchScript exporter
as users of these libraries do. One `sess.run` of onnxruntime with its defaults runs the graph, and
edgevae the bundle that `edgevae compile` writes from it, in turns; the ratio is the median.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from edgevae import compiler, load
from edgevae.diagnostics import bench
from edgevae.engine import onnxruntime, targets

ROUNDS = 11
PAUSE = 0.05  # seconds, after which the threads of the last turn no longer spin


class Decode(torch.nn.Module):
    """A decoder that takes and returns one tensor."""

    def __init__(self, model: torch.nn.Module, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.model, self.call = model.eval(), call

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.call(self.model, z)


def pythae_celeba() -> tuple[Decode, tuple[int, ...], int]:
    from pythae.models import VAEConfig
    from pythae.models.nn.benchmarks.celeba import Decoder_Conv_AE_CELEBA

    model = Decoder_Conv_AE_CELEBA(VAEConfig(input_dim=(3, 64, 64), latent_dim=64))
    return Decode(model, lambda model, z: model(z)["reconstruction"]), (64,), 64


def diffusers_tiny() -> tuple[Decode, tuple[int, ...], int]:
    from diffusers import AutoencoderTiny

    return Decode(AutoencoderTiny(), lambda model, z: model.decode(z).sample), (4, 16, 16), 8


def diffusers_kl() -> tuple[Decode, tuple[int, ...], int]:
    from diffusers import AutoencoderKL

    model = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
    )
    return Decode(model, lambda model, z: model.decode(z).sample), (4, 16, 16), 64


DECODERS = {
    "pythae, CelebA decoder, 3 x 64 x 64": pythae_celeba,
    "diffusers, AutoencoderTiny, 3 x 128 x 128": diffusers_tiny,
    "diffusers, AutoencoderKL of 32 and 64 channels, 3 x 32 x 32": diffusers_kl,
}


def compare(make: Callable[[], tuple[Decode, tuple[int, ...], int]], folder: Path) -> str:
    """Measure one decoder, and return the line that describes the result."""
    torch.manual_seed(0)
    decode, latent_shape, rows = make()
    path = folder / "decoder.onnx"
    torch.onnx.export(
        decode,
        (torch.randn(2, *latent_shape),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["latents"],
        output_names=["sample"],
        dynamic_axes={"latents": {0: "batch"}, "sample": {0: "batch"}},
    )
    compiled = compiler.compile(path, out=folder / "bundle", reading=compiler.Reading((0, 1)))
    vae = load(compiled.bundle.path, provider="cpu")
    session = onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    z = np.random.default_rng(0).standard_normal((rows, *latent_shape), np.float32)
    error = np.abs(session.run(None, {"latents": z})[0] - vae.decode(z)).max()
    ratios = []
    for _ in range(ROUNDS):
        naive = seconds(lambda: session.run(None, {"latents": z}))
        ratios.append(naive / seconds(lambda: vae.decode(z)))
    here = targets("cpu")
    rows_kept = (row for row in compiled.passes["decoder"] if row.kept and row.target in here)
    kept = ", ".join(row.name for row in rows_kept)
    return f"{bench.median(ratios):.2f}x, {rows} rows, max difference {error:.1e}, kept: {kept}"


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes, after a pause."""
    time.sleep(PAUSE)
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    for name, make in DECODERS.items():
        try:
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name}: {compare(make, Path(folder))}")
        except ModuleNotFoundError as error:
            print(f"{name}: not installed: pip install {error.name}")


if __name__ == "__main__":
    main()
