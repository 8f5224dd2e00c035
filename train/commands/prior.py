"""`python -m train prior BUNDLE`: fit the mixture that generation draws from, for a bundle."""

import argparse
from pathlib import Path

import edgevae
from edgevae import bundle
from edgevae.bundle import Bundle
from edgevae.errors import InputError
from train.data.dataset import as_float
from train.data.of_bundle import training_data
from train.options import add_bundle, integer
from train.stages.mixture import fit_mixture


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add_bundle(command)
    add = command.add_argument
    add("--components", type=integer(1), default=256, help="number of Gaussians (%(default)s)")
    add("--seed", type=integer(0), default=0, help="(%(default)s)")
    add("--out", type=Path, help="the folder of the new bundle (default: the bundle's own)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    source = bundle.read(bundle.find(options.bundle))
    written = fit_prior(source, options)
    print(f"{written.path}: {bundle.PRIOR_FILE}, a mixture of {written.components:,} Gaussians")


def fit_prior(source: Bundle, options: argparse.Namespace) -> Bundle:
    """Write the bundle with a mixture fitted to the posteriors of its training items; return it.

    One z of each item is drawn, as rows of the stream `options.seed`. Raises `InputError` for a
    conditional bundle, each class of which has a mixture of its own, and for p-values of `iwae`,
    which belong to the prior.
    """
    if source.classes:
        raise InputError(
            f"expected a bundle without classes, got {source.name!r} of {len(source.classes)}: "
            "python -m train ... --conditional fits their mixtures"
        )
    if "iwae" in (source.arrays(bundle.CALIBRATION_FILE) or {}):
        raise InputError(
            f"expected a bundle without p-values of iwae, which the prior changes, got "
            f"{source.path}: replace them by `edgevae calibrate` with another --method"
        )
    x = as_float(training_data(source, options.data).train).numpy()
    z = edgevae.VAE(source).encode(x).sample(seed=options.seed)
    table = fit_mixture(z.reshape(len(z), -1), options.components, options.seed)
    arrays = {"weights": table.weights, "means": table.means, "logvars": table.logvars}
    return bundle.extend(
        source,
        options.out or source.path,
        arrays={bundle.PRIOR_FILE: arrays},
        fields={"prior": {"kind": "mixture", "components": table.components}},
    )
