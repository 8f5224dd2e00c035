"""`python -m train denoise BUNDLE`: add a table for `edgevae denoise` to a bundle."""

import argparse
from pathlib import Path

from edgevae import bundle, denoising
from edgevae.errors import InputError
from train.data.of_bundle import training_data
from train.export.denoising import add_table
from train.options import add_bundle


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add_bundle(command)
    command.add_argument(
        "--out", type=Path, help="the folder of the new bundle (default: the bundle's own)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    source = bundle.read(bundle.find(options.bundle))
    data = training_data(source, options.data)
    if data.x_shape != source.x_shape:
        raise InputError(
            f"expected items of shape {source.x_shape}, got {data.x_shape} in {data.name!r}: pass "
            f"--data what the bundle was trained on"
        )
    written = add_table(source, data.train, options.out or source.path)
    print(f"{written.path}: {denoising.FILE}, {written.files[denoising.FILE].bytes:,} bytes")
