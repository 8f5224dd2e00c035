"""Large pictures in tiles: the seams, the time and the peak memory, beside decoding in one piece.

    PYTHONPATH=. python benchmarks/bench_tiles.py M4 AutoencoderTiny --out benchmarks/results/tiles

M4 is that of `decoders.py`, AutoencoderTiny diffusers' own (needs diffusers), each with weights
drawn from a seed. A decoder is compiled for latents of 32 x 32 cells, and decodes one of 96 x 96:
in tiles, and by onnxruntime in one piece through the same graph exported for that size. Each runs
in a process of its own, on one thread. Differences are in grey levels, 255 to the range of the
whole picture, for two latents: a smooth one (long waves) and one of noise, N(0, 1).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import edgevae
from edgevae.diagnostics import bench
from edgevae.engine import onnxruntime

if TYPE_CHECKING:
    import decoders

TILE, WHOLE = 32, 96  # cells a side


def m4() -> "decoders.Decoder":
    import decoders

    return decoders.m4()


def tiny() -> "decoders.Decoder":
    """diffusers' AutoencoderTiny, whose initial weights let signals fade: scaled to keep them."""
    import decoders
    import torch
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    model = decoders.Decoder([AutoencoderTiny().decoder], (4, TILE, TILE), rows=1)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight *= 1.7
    return model


DECODERS: dict[str, Callable[[], "decoders.Decoder"]] = {"M4": m4, "AutoencoderTiny": tiny}


def latents(kind: str, channels: int) -> np.ndarray:
    """Float32 (channels, WHOLE, WHOLE)."""
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.standard_normal((channels, WHOLE, WHOLE)).astype(np.float32)
    y, x = np.mgrid[:WHOLE, :WHOLE] / WHOLE
    waves = [
        np.sin(2 * np.pi * (a * x + b * y) + phase)
        for a, b, phase in rng.uniform(-1.5, 1.5, (channels, 3))
    ]
    return np.array(waves, np.float32)


def run(how: str, path: str, z: str, out: str) -> None:
    """In a process of its own: decodes, writes x_hat, prints seconds and MiB."""
    latent = np.load(z)
    if how == "tiles":
        vae = edgevae.load(path, "cpu", threads=1)
        vae.decode(latent[:, :TILE, :TILE], tile=True)  # opens the session
        work: Callable[[], np.ndarray] = partial(vae.decode, latent, tile=True)
    else:
        options = onnxruntime().SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime().InferenceSession(path, options, ["CPUExecutionProvider"])
        work = partial(session.run, None, {"z": latent[None]})
    begin = time.thread_time()
    x_hat = work()
    seconds = time.thread_time() - begin
    print(json.dumps({"seconds": seconds, "peak_mib": bench.peak_rss()}))
    np.save(out, np.reshape(x_hat, (-1, *np.shape(x_hat)[-2:])))


def child(*arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(name: str, folder: Path) -> dict[str, object]:
    """Everything of one decoder; PyTorch stays out of the processes that are measured."""
    import decoders
    import torch

    from edgevae import compiler

    model = DECODERS[name]()
    for side in (TILE, WHOLE):
        model.latent_shape = (model.latent_shape[0], side, side)
        decoders.export(model, folder / f"{side}.onnx")
    with torch.inference_mode():
        model.latent_shape = (model.latent_shape[0], TILE, TILE)
        x_hat = model(model.latents(4))
    spread = float(x_hat.std())
    made = compiler.compile(
        folder / f"{TILE}.onnx",
        out=folder / "bundle",
        x_range=(float(x_hat.mean()) - 3 * spread, float(x_hat.mean()) + 3 * spread),
        measure=False,
    )
    assert made.bundle.tiles is not None
    report: dict[str, object] = {"decoder": name, "tiles": made.bundle.tiles._asdict()}
    for kind in ("smooth", "noise"):
        np.save(folder / "z.npy", latents(kind, model.latent_shape[0]))
        figures = {
            how: child(how, path, folder / "z.npy", folder / f"{how}.npy")
            for how, path in (("tiles", folder / "bundle"), ("whole", folder / f"{WHOLE}.onnx"))
        }
        whole, tiles = (np.load(folder / f"{how}.npy") for how in ("whole", "tiles"))
        grey = 255 / float(whole.max() - whole.min())
        worst = grey * np.abs(whole - tiles).max()
        report[kind] = {**figures, "grey_levels": float(worst), "shape": list(whole.shape)}
    return report


def table(reports: list[dict]) -> str:
    lines = [
        "| decoder | cells seen each way | cells shared | latent | grey levels off, at most | peak "
        "MiB, tiles | peak MiB, one piece | CPU s, tiles | CPU s, one piece |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for report in reports:
        spec = report["tiles"]
        for kind in ("smooth", "noise"):
            row = report[kind]
            cells = [report["decoder"], spec["receptive"], spec["overlap"], kind]
            cells += [f"{row['grey_levels']:.3f}"]
            cells += [f"{row[how]['peak_mib']:.0f}" for how in ("tiles", "whole")]
            cells += [f"{row[how]['seconds']:.1f}" for how in ("tiles", "whole")]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        return run(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("decoders", nargs="+", choices=DECODERS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    reports = []
    for name in options.decoders:
        with tempfile.TemporaryDirectory() as folder:
            reports.append(measure(name, Path(folder)))
            print(json.dumps(reports[-1]), flush=True)
    (options.out / "tiles.json").write_text(json.dumps(reports, indent=2) + "\n")
    page = f"# Tiles\n\n{__doc__.strip()}\n\n{table(reports)}\n"
    (options.out / "tiles.md").write_text(page)


if __name__ == "__main__":
    main()
