"""`python -m train fashion | fashion2d | names | --data PATH`: train a model, stage after stage."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from edgevae.errors import InputError
from train.data import tables
from train.data.dataset import Data
from train.data.datasets import load
from train.model.checkpoint import Checkpoint
from train.model.models import ARCHITECTURES, default_widths
from train.model.recipe import Recipe
from train.options import add_table, integer, table_settings
from train.stages.finetune_decoder import FinetuneDecoder
from train.stages.finetune_encoder import FinetuneEncoder
from train.stages.finetune_text import FinetuneText
from train.stages.fit import Fit
from train.stages.loop import Run, Stage, begin, make_fabric
from train.stages.mixture import FitMixture

# The options that a command changes, besides --out.
DEFAULTS: dict[str, dict[str, Any]] = {
    "fashion": {"components": 1024},
    # For teaching: a latent of two dimensions can be drawn, and an MLP is quickly read.
    "fashion2d": {
        "latent_dim": 2,
        "architecture": "mlp",
        "widths": [512, 256],
        "epochs": 40,
        "noise": 0.0,
        "components": 64,
    },
    "names": {
        "latent_dim": 64,
        "beta": 0.5,
        "batch": 256,
        "epochs": 30,
        "sharpen": 2,
        "prior": "normal",
    },
}
USUAL_ARCHITECTURE = {
    "image": "residual",
    "vector": "mlp",
    "signal": "conv1d",
    "text": "residual_mlp",
}


# --- options ---------------------------------------------------------------------------------


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(
        "--out",
        type=Path,
        default=Path("runs") / name,
        help="folder of checkpoints and logs (%(default)s)",
    )
    _add_data(command.add_argument_group("data"))
    _add_model(command.add_argument_group("model"))
    _add_recipe(command.add_argument_group("recipe"))
    _add_stages(command.add_argument_group("stages"))
    _add_machine(command.add_argument_group("machine"))
    source = "fashion" if name == "fashion2d" else name
    command.set_defaults(run=run, command=name, source=source, **DEFAULTS.get(name, {}))


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        type=Path,
        help="a folder of IDX files or images, an .npy or .npz file, a CSV or Parquet table, a "
        "folder of tables (with --kind), or a .txt of lines",
    )
    add_table(group)
    group.add_argument(
        "--size", type=integer(1), help="resize the images of a folder to SIZE x SIZE"
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--architecture",
        choices=tuple(ARCHITECTURES),
        help="default: residual for images, mlp for vectors, conv1d for signals, residual_mlp for "
        "text",
    )
    add("--autoencoder", action="store_true", help="train the baseline: z = mu and no KL")
    add(
        "--conditional",
        action="store_true",
        help="give the decoder each item's class, so that it generates by label",
    )
    add(
        "--widths",
        type=integer(1),
        nargs="+",
        help="residual and conv1d: the channels of each resolution, each half the one before, so "
        "that three widths halve the image twice; others: the units of each layer (default: by "
        "the shape of the data)",
    )
    add("--latent-dim", type=integer(1), default=40, help="dimensions of z (%(default)s)")
    add(
        "--likelihood",
        choices=("gaussian", "bernoulli"),
        help="of pixels or features (default: gaussian); text is always categorical",
    )
    add(
        "--prior",
        choices=("fitted", "normal", "free", "vamp"),
        default="fitted",
        help="a mixture that is fitted after training; N(0, I); or a mixture that is learned with "
        "the model: free Gaussians, or the posteriors of pseudo-inputs (VampPrior) (%(default)s)",
    )
    add(
        "--components",
        type=integer(1),
        default=256,
        help="number of Gaussians of the mixture prior (%(default)s)",
    )


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=integer(1), default=60, help="epochs of the first stage (%(default)s)")
    add(
        "--batch",
        type=integer(1),
        default=128,
        help="items in a step, over all processes (%(default)s)",
    )
    add("--learning-rate", type=float, default=2e-3, help="the largest one (%(default)s)")
    add("--beta", type=float, default=1.0, help="weight of the KL (%(default)s)")
    add(
        "--beta-warmup",
        type=integer(0),
        metavar="EPOCHS",
        help="epochs over which that weight rises from 0 (default: a thousand steps); more keep "
        "more latents active",
    )
    add(
        "--draws",
        type=integer(1),
        default=1,
        help="number of z of each item in a step: more tighten the bound (IWAE), and cost as many "
        "decodings (%(default)s)",
    )
    add(
        "--noise",
        type=float,
        default=0.5,
        help="largest sigma of the noise that the encoder learns to see through, in standard "
        "deviations for vectors and signals; 0 for none (%(default)s; text: 0)",
    )
    add(
        "--binarise",
        action="store_true",
        help="draw each pixel from Bernoulli(x) whenever its image is used",
    )
    add("--seed", type=integer(0, 2**20 - 3), default=0, help="(%(default)s)")


def _add_stages(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--sharpen",
        type=integer(1),
        nargs="?",
        const=12,
        default=0,
        metavar="EPOCHS",
        help="after the first stage, fine-tune the decoder of images against a discriminator, or "
        "the model of text by a language model (12 epochs without a number)",
    )
    add(
        "--attune",
        type=integer(1),
        nargs="?",
        const=5,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the encoder of images for the final decoder, and fit the mixture "
        "again (5 epochs without a number)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on from OUT/last.pt, with the same options; --epochs, --sharpen and --attune may "
        "change",
    )
    add(
        "--stop-after",
        type=integer(1),
        metavar="EPOCHS",
        help="end after that many epochs of the first stage; --resume goes on",
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--compile",
        action="store_true",
        help="compile the model by torch.compile, which starts slowly and then trains faster",
    )
    add(
        "--precision",
        choices=("32-true", "bf16-mixed"),
        help="default: the fastest that the hardware has",
    )
    add("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add(
        "--devices",
        type=integer(1),
        help="number of processes, each with its own device (default: every GPU, or one process "
        "on the CPU)",
    )
    add("--log", choices=("csv", "tensorboard"), default="csv", help="format of the metrics")


# --- the run ---------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> None:
    resumed = resumed_checkpoint(options)
    data = read_data(options)
    stages = list_stages(options, data)
    for stage in stages:
        stage.check(data, not options.autoencoder)
    wanted = describe(options, data)
    options.out.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(
        options.out, options.log, options.precision, options.accelerator, options.devices
    )
    training = begin(fabric, wanted, data, options.out, resumed)
    training.compile_model = options.compile
    try:
        for stage in stages[:1] if options.stop_after else stages:
            stage.run(training)
    except KeyboardInterrupt:
        training.report(interruption(options, training))
        raise
    if fabric.is_global_zero:
        print(conclusion(options, training))


def resumed_checkpoint(options: argparse.Namespace) -> Checkpoint | None:
    """Return the checkpoint to go on from, if any.

    Raises `InputError` if a new run would replace a checkpoint, and `FileNotFoundError` if
    there is none to resume.
    """
    last = options.out / "last.pt"
    if options.resume:
        return Checkpoint.from_file(last)
    if last.exists():
        raise InputError(
            f"expected no checkpoint in {options.out}, found last.pt, which a new run would "
            "replace: pass --resume to go on from it, or another --out"
        )
    return None


def read_data(options: argparse.Namespace) -> Data:
    """Return the data that the options name. Raises `InputError` or `FileNotFoundError`."""
    table = table_settings(options)
    if table:
        if table["kind"] == "signal" and table["stride"] > table["window"]:
            print(
                f"--stride {table['stride']} exceeds --window {table['window']}: the steps between "
                "windows are not used",
                file=sys.stderr,
            )
        data = tables.load(options.data, **table)
    else:
        data = load(options.source, options.data, options.size, options.seed)
    if options.conditional:
        check_conditional(options, data)
    return data


def check_conditional(options: argparse.Namespace, data: Data) -> None:
    """Raise `InputError` if the data have no labels, or a stage is asked for that ignores them."""
    if not data.classes:
        raise InputError(f"--conditional: expected labelled data, got {data.name!r} without labels")
    for other in ("autoencoder", "sharpen", "attune"):
        if getattr(options, other):
            raise InputError(f"--conditional: expected a VAE of one stage: leave out --{other}")


def list_stages(options: argparse.Namespace, data: Data) -> list[Stage]:
    """Return the stages that the options ask for, in their order."""
    stages: list[Stage] = [Fit(options.stop_after)]
    if options.sharpen and data.text:
        stages.append(FinetuneText(options.sharpen))
    stages.append(FitMixture())
    if options.sharpen and not data.text:
        stages.append(FinetuneDecoder(options.sharpen))
    if options.attune:
        stages += [FinetuneEncoder(options.attune), FitMixture()]
    return stages


def describe(options: argparse.Namespace, data: Data) -> Checkpoint:
    """Return the checkpoint of a run that has not begun: its architecture, recipe and data."""
    architecture = options.architecture or USUAL_ARCHITECTURE[data.kind]
    return Checkpoint(
        architecture={
            "variational": not options.autoencoder,
            "x_shape": list(data.x_shape),
            "latent_dim": options.latent_dim,
            "architecture": architecture,
            "widths": options.widths or default_widths(data.x_shape, architecture),
            "likelihood": "categorical" if data.text else options.likelihood or "gaussian",
            "images": data.drawable,
            "prior": options.prior,
            "components": options.components,
            # Absent from other runs, so that those begun before there were classes can resume.
            **({"classes": len(data.classes)} if options.conditional else {}),
        },
        recipe=Recipe(
            epochs=options.epochs,
            batch=options.batch,
            learning_rate=options.learning_rate,
            beta=options.beta,
            noise=0.0 if data.text else options.noise,
            seed=options.seed,
            binarise=options.binarise,
            beta_warmup=options.beta_warmup,
            draws=options.draws,
        ),
        data=data.facts() | {"runs_by": options.runs_by},
        samples=data.test[:8].clone(),
        classes=list(data.classes) if options.conditional else [],
    )


# --- what the user does next -----------------------------------------------------------------


def conclusion(options: argparse.Namespace, training: Run) -> str:
    """Return the last line of a run: the file it wrote and the command to give next."""
    path, epochs = training.path, training.checkpoint.recipe.epochs
    if options.stop_after:
        return (
            f"wrote {path} after {min(options.stop_after, epochs)} of {epochs} epochs; go on with "
            f"`{resuming(options)}`"
        )
    export = f"python -m train export {path} --out {training.out / 'bundle'}"
    return f"wrote {path}; export it with `{export}`"


def interruption(options: argparse.Namespace, training: Run) -> str:
    """Return the message of a run that Ctrl-C ended."""
    if training.path.exists():
        return (
            f"interrupted; {training.path} holds everything up to the last complete epoch; go on "
            f"with `{resuming(options)}`"
        )
    return (
        "interrupted before the first epoch ended, so there is no checkpoint yet; start again "
        "with the same command"
    )


def resuming(options: argparse.Namespace) -> str:
    """Return the command that resumes a run."""
    words, skip = ["python", "-m", "train"], False
    for word in options.arguments:
        if skip or word in ("--resume", "--stop-after") or word.startswith("--stop-after="):
            skip = word == "--stop-after"
            continue
        words.append(word)
    return shlex.join([*words, "--resume"])
