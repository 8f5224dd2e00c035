"""`python -m train benchmark`: log-likelihoods beside published ones."""

import argparse
from pathlib import Path

from train.experiments import likelihood
from train.experiments.likelihood_models import MODELS


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add(
        "--out",
        type=Path,
        default=Path("runs/benchmark"),
        help="folder of checkpoints, bundles and report (%(default)s)",
    )
    add("--models", nargs="+", choices=MODELS, default=list(MODELS))
    add("--seeds", type=int, default=3, help="number of runs of each model (%(default)s)")
    add("--epochs", type=int, help="epochs of each stage, for a trial (default: each model's own)")
    add("--samples", type=int, default=500, help="S of the bound (%(default)s)")
    add(
        "--items",
        type=int,
        default=10_000,
        help="number of test images of the bound, the first ones (%(default)s)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    likelihood.run(
        options.out,
        models=options.models,
        seeds=options.seeds,
        epochs=options.epochs,
        samples=options.samples,
        items=options.items,
    )
