"""Compare decoding large pictures in tiles with decoding in one piece: seams, time, peak memory.

    PYTHONPATH=. python benchmarks/bench_tiles.py M4 AutoencoderTiny --out benchmarks/results/tiles

M4 is that of `decoders.py`, AutoencoderTiny that of diffusers, which must be installed; their
weights are drawn from a seed. A decoder is compiled for latents of 32 x 32 cells, and decodes one
of 96 x 96: in tiles, and by onnxruntime in one piece, through the same graph exported for that
size. Each runs in its own process, on one thread. Differences are in grey levels, of which the
range of the whole picture has 255, for two latents: a smooth one of long waves, and one of noise,
N(0, 1).
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
    """Return diffusers' AutoencoderTiny, its initial weights scaled so that signals do not fade."""
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
    """Return a latent of the kind "noise" or "smooth": float32 (channels, WHOLE, WHOLE)."""
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.standard_normal((channels, WHOLE, WHOLE)).astype(np.float32)
    y, x = np.mgrid[:WHOLE, :WHOLE] / WHOLE
    waves = [
        np.sin(2 * np.pi * (a * x + b * y) + phase)
        for a, b, phase in rng.uniform(-1.5, 1.5, (channels, 3))
    ]
    return np.array(waves, np.float32)


def run(method: str, path: str, z: str, out: str) -> None:
    """Decode, write x_hat, and print seconds and MiB; called in its own process."""
    latent = np.load(z)
    if method == "tiles":
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
    """Call `run` in its own process, and return what it prints."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure(name: str, folder: Path) -> dict[str, object]:
    """Return the figures of one decoder; the measured processes do not import PyTorch."""
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
    compiled = compiler.compile(
        folder / f"{TILE}.onnx",
        out=folder / "bundle",
        reading=compiler.Reading(
            x_range=(float(x_hat.mean()) - 3 * spread, float(x_hat.mean()) + 3 * spread)
        ),
        options=compiler.Options(measure=False),
    )
    assert compiled.bundle.tiles is not None
    report: dict[str, object] = {"decoder": name, "tiles": compiled.bundle.tiles._asdict()}
    for kind in ("smooth", "noise"):
        np.save(folder / "z.npy", latents(kind, model.latent_shape[0]))
        figures = {
            method: child(method, path, folder / "z.npy", folder / f"{method}.npy")
            for method, path in (("tiles", folder / "bundle"), ("whole", folder / f"{WHOLE}.onnx"))
        }
        whole, tiles = (np.load(folder / f"{method}.npy") for method in ("whole", "tiles"))
        grey = 255 / float(whole.max() - whole.min())
        worst = grey * np.abs(whole - tiles).max()
        report[kind] = {**figures, "grey_levels": float(worst), "shape": list(whole.shape)}
    return report


def table(reports: list[dict]) -> str:
    """Return the figures as a table."""
    lines = [
        "| decoder | receptive field, cells | overlap, cells | latent | grey levels off, at most | "
        "peak MiB, tiles | peak MiB, one piece | CPU s, tiles | CPU s, one piece |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for report in reports:
        spec = report["tiles"]
        for kind in ("smooth", "noise"):
            row = report[kind]
            cells = [report["decoder"], spec["receptive"], spec["overlap"], kind]
            cells += [f"{row['grey_levels']:.3f}"]
            cells += [f"{row[method]['peak_mib']:.0f}" for method in ("tiles", "whole")]
            cells += [f"{row[method]['seconds']:.1f}" for method in ("tiles", "whole")]
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
