"""python -m train denoise BUNDLE: teach a bundle what its model is worth against noise."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import edgevae
from edgevae import bundle, denoising
from edgevae.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

ITEMS = 6_000  # enough for a few hundred gains


def add_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("bundle", help="a bundle's folder, or the name of a shipped one")
    add("--data", type=Path, help="what it was trained on, if not Fashion-MNIST as installed")
    add("--out", type=Path, help="folder of the result; the bundle's own if not told")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from train.__main__ import training_data

    found = bundle.read(bundle.find(options.bundle))
    data = training_data(found, options.data)
    if data.x_shape != found.x_shape:
        raise InputError(
            f"expected items of shape {found.x_shape}, got {data.x_shape} in {data.name!r}: give "
            f"--data what the bundle was trained on"
        )
    written = teach(found, data.train, options.out or found.path)
    print(f"{written.path}: {denoising.FILE}, {written.files[denoising.FILE].bytes:,} bytes")


def teach(found: bundle.Bundle, train: "Tensor", out: Path) -> bundle.Bundle:
    """The bundle with a table for `denoise`, of training items chosen evenly."""
    from train.data.datasets import as_float

    x = as_float(train[:: max(1, len(train) // ITEMS)][:ITEMS]).numpy()
    table = denoising.fit(edgevae.VAE(found).runner, x)
    return bundle.extend(found, out, arrays={denoising.FILE: table._asdict()})
