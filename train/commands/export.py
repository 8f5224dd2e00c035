"""`python -m train export`: write the bundle of a checkpoint, or of any VAE in PyTorch."""

import argparse
from pathlib import Path

from edgevae import compiler
from edgevae.bundle import Bundle
from edgevae.errors import InputError
from train.data.of_bundle import training_data
from train.export import any_module
from train.export.denoising import add_table
from train.export.export import export
from train.export.scores import fit_scores
from train.model.checkpoint import Checkpoint
from train.options import integer


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add(
        "checkpoint",
        type=Path,
        nargs="?",
        help="a checkpoint that python -m train wrote; leave it out with --module",
    )
    add("--out", type=Path, required=True, help="the bundle's folder")
    add("--name", help="the bundle's name (default: that of the data set, or of the folder)")
    add("--int8", action="store_true", help="add int8 graphs")
    add(
        "--for",
        dest="targets",
        type=lambda text: text.split(","),
        default=compiler.TARGETS,
        metavar="TARGET,...",
        help="targets that the graphs are rewritten for: any, x86_64, aarch64, generic; that for "
        "any is always written (default: all)",
    )
    add(
        "--data",
        type=Path,
        help="the data that the checkpoint was trained on: adds statistics of the training items "
        "for anomaly scores, a calibration by the held-out items, and for images a table for "
        "`edgevae denoise`",
    )
    add("--activations", action="store_true", help="add the graph that the score `nap` needs")
    _add_module_arguments(command)
    command.set_defaults(run=run)


def _add_module_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group(
        "--module", "any other VAE in PyTorch; train/export/any_module.py states its requirements"
    ).add_argument
    add(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="a function that returns a module with encode and decode, as diffusers' models have, "
        "or with an encoder and a decoder, as pythae's have, or a pair (encoder, decoder)",
    )
    add("--checkpoint", dest="weights", type=Path, metavar="FILE.pt", help="its state dict")
    add(
        "--x-shape",
        type=integer(1),
        nargs="+",
        default=(),
        metavar="N",
        help="the shape of one item (default: that of the module's config)",
    )
    add(
        "--latent-shape",
        type=integer(1),
        nargs="+",
        default=(),
        metavar="N",
        help="the shape of one latent; required if encode returns one tensor, of mu and logvar or "
        "of a latent alone",
    )
    add(
        "--prior",
        metavar="P.npz|PACKAGE.MODULE:FUNCTION",
        help="a mixture, or a function that returns one, a scikit-learn GaussianMixture or a "
        "pythae sampler (default: the standard normal; for pythae's VAMP its own)",
    )
    add(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="the range of pixels (default: that of the decoder's last operators; -1 1 for "
        "diffusers)",
    )
    add(
        "--scaling-factor",
        type=float,
        metavar="S",
        help="the scale of z (default: that of the module's config)",
    )
    add("--licence", default="not stated", help="the licence of the weights")


def run(options: argparse.Namespace) -> None:
    if (options.checkpoint is None) == (options.module is None):
        raise InputError("expected a checkpoint of python -m train, or --module, got both or none")
    if options.module and (options.data or options.activations):
        raise InputError("--data and --activations are for a checkpoint of python -m train")
    written = export_module(options) if options.module else export_checkpoint(options)
    size = sum(file.bytes for file in written.files.values())
    print(f"wrote {written.path}: {written.name}, {size / 1e6:.2f} MB, agrees with PyTorch")
    for variant, quality in written.quality.items():
        print(f"{variant}: " + ", ".join(f"{key} {value:.4g}" for key, value in quality.items()))


def export_checkpoint(options: argparse.Namespace) -> Bundle:
    """Write the bundle of a checkpoint and, with --data, its scores and its table for denoising."""
    written = export(
        Checkpoint.from_file(options.checkpoint),
        options.out,
        options.name,
        activations=options.activations,
        options=_compilation(options),
    )
    if options.data is None:
        return written
    data = training_data(written, options.data)
    written = fit_scores(written, data)
    if not written.calibration:
        print("no p-values: fewer than 99 held-out items; use `edgevae calibrate` with more items")
    if written.data.drawable and written.noise:
        written = add_table(written, data.train, written.path)
    return written


def export_module(options: argparse.Namespace) -> Bundle:
    """Write the bundle of the module that --module names, and print the compiler's notes."""
    model = any_module.module(any_module.make(options.module))
    if options.weights:
        any_module.load(model, options.weights)
    npz = options.prior is None or options.prior.endswith(".npz")
    compiled = any_module.export(
        model,
        options.out,
        x_shape=options.x_shape,
        latent_shape=options.latent_shape,
        x_range=tuple(options.range) if options.range else None,
        scaling_factor=options.scaling_factor,
        prior=options.prior if npz else any_module.make(options.prior),
        description=compiler.Description(
            name=options.name,
            licence=options.licence,
            provenance=any_module.provenance(model, options.module, options.scaling_factor),
        ),
        options=_compilation(options),
    )
    for note in compiled.notes:
        print(note)
    return compiled.bundle


def _compilation(options: argparse.Namespace) -> compiler.Options:
    """Return the options of the compilation."""
    return compiler.Options(options.targets, int8=compiler.Int8() if options.int8 else None)
