"""The options that several verbs share, and the values that are computed from them."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING

from edgevae.cli.reporting import note
from edgevae.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.bundle import Bundle
    from edgevae.data import Label
    from edgevae.files import Batch, Inputs
    from edgevae.vae import VAE

    Floats = NDArray[np.float32]

LAST_UINT64 = 2**64 - 1  # `checks.LAST`, without the import of numpy
MOST_THREADS = 512  # that of `engine`, without its imports
PRECISIONS = ("float32", "int8", "bf16")  # those of `engine`, without its imports
# The names of outputs, for help texts.
SHEETS, ROWS = ".png, .jpg or .webp", ".npy, .npz, .csv, .parquet"


class UsageError(Exception):
    """Options that contradict each other or do not suit the bundle."""


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return an argument's type: a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        try:
            value = int(text, 0)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {bound}, got {text!r}")
        return value

    return parse


def number(least: float = -inf) -> Callable[[str], float]:
    """Return an argument's type: a finite number from `least` on, by default any."""
    expected = "a finite number" if least == -inf else f"a number from {least:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = inf
        if not isfinite(value) or value < least:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


# --- the bundle and how it is opened ---------------------------------------------------------


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="fashion",
        metavar="BUNDLE",
        help="name or folder of the bundle (default: fashion)",
    )


def add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default="fashion",
        metavar="BUNDLE",
        help="name or folder of the bundle (default: fashion)",
    )


def add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        default="auto",
        help="execution provider: auto, cpu, cuda, ...; one that is not available is an error, "
        "and is never replaced by another (default: auto, the one that `edgevae tune` found to be "
        "the fastest)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=integer(1, MOST_THREADS),
        metavar="N",
        help="CPU threads to use (default: as many as the affinity and the quota allow)",
    )


def add_precisions(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --precision for the verbs that measure several; `default` describes those by default."""
    parser.add_argument(
        "--precision",
        action="append",
        choices=PRECISIONS,
        help=f"repeatable (default: {default})",
    )


def add_session(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a bundle is opened."""
    add_provider(parser)
    add_threads(parser)
    parser.add_argument(
        "--precision",
        choices=(*PRECISIONS, "auto"),
        default="float32",
        help="arithmetic: int8, if the bundle has it, at the cost that `edgevae info` shows; bf16, "
        "if the provider has it; auto, the one that `edgevae tune --min-psnr` chose "
        "(default: float32)",
    )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add --model and the options that say how the bundle is opened."""
    add_model(parser)
    add_session(parser)


def load(args: argparse.Namespace) -> "VAE":
    """Return the bundle of `add_runtime`'s options, opened."""
    from edgevae.vae import load

    return load(args.model, provider=args.provider, threads=args.threads, precision=args.precision)


# --- data in and out -------------------------------------------------------------------------


def add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image files, or one folder of them, one .npy or .npz, tables (.csv, .jsonl, "
        ".parquet), or - for standard input; for text: strings, one .txt of lines, or -",
    )
    add_resize(parser)


def add_resize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resize",
        action="store_true",
        help="resize pictures to the model's height and width; the aspect ratio may change",
    )


def read_inputs(paths: Sequence[str], args: argparse.Namespace, bundle: "Bundle") -> "Inputs":
    """Return the items that `paths` name, as the bundle takes them. Raises InputError."""
    from edgevae import files

    return files.read(paths, bundle, resize=args.resize, notify=_notify(args))


def read_one(path: str, args: argparse.Namespace, bundle: "Bundle") -> "Floats":
    """Return the one item of a file, float32 (1, *x_shape). Raises InputError."""
    items = read_inputs([path], args, bundle)
    if items.rows != 1:
        raise InputError(f"{path}: expected one item, got {items.rows}; name a file of one item")
    return next(items.batches)


def stream_inputs(
    paths: Sequence[str], args: argparse.Namespace, bundle: "Bundle", *, disjoint: bool = False
) -> "Iterator[Batch]":
    """Yield batches of the items that `paths` name, each as soon as it has arrived.

    `disjoint` is as in `edgevae.files.stream`. Raises InputError.
    """
    from edgevae import files

    return files.stream(paths, bundle, _notify(args), disjoint=disjoint, resize=args.resize)


def _notify(args: argparse.Namespace) -> Callable[[str], None]:
    """Return a function that writes a note about the inputs, and keeps it for the report."""

    def notify(text: str) -> None:
        args.notes.append(text)
        note(text)

    return notify


def add_out(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--out", metavar="PATH", help=text)


def add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale",
        type=integer(1),
        metavar="N",
        help="pixels of a picture for each pixel of an item; with 1, a sheet has no gaps and no "
        "labels (default: small tiles of a sheet and frames of a .gif are enlarged)",
    )


# --- randomness, classes and scores ----------------------------------------------------------


def add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=integer(0, LAST_UINT64),
        metavar="N",
        help="seed of the random numbers (default: a new one from the system, which is printed)",
    )
    parser.add_argument(
        "--start",
        type=integer(0, LAST_UINT64),
        default=0,
        metavar="N",
        help="number of the first row (default: 0)",
    )


def seed(args: argparse.Namespace) -> int:
    """Return --seed, or a new seed, which is reported before any work is done."""
    if args.seed is not None:
        return int(args.seed)
    from edgevae.sampling import fresh_seed

    new = fresh_seed()
    note(f"seed {new} (--seed {new} repeats this result)")
    return new


def add_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        nargs=1,
        metavar="CLASS",
        help="name or number of the class, for a bundle that has classes",
    )


def add_labels(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--labels",
        nargs="+",
        metavar="CLASS",
        help=f"names or numbers of classes, one for all rows or one for each (default: {default})",
    )


def labels(args: argparse.Namespace) -> "list[Label] | Label | None":
    """Return --labels, decimal ones as numbers and others as names."""
    if args.labels is None:
        return None
    classes: list[Label] = [int(text) if text.isdecimal() else text for text in args.labels]
    return classes[0] if len(classes) == 1 else classes


def add_draws(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draws",
        type=integer(1),
        default=64,
        metavar="K",
        help="latents that the method iwae draws for each item (default: 64)",
    )
