"""Options that several commands share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevae.errors import InputError

WINDOW, STRIDE = 128, 16  # of signals, in steps


def integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of integers from `minimum` to `maximum`, for argparse's `type`."""

    def parse(text: str) -> int:
        number = int(text)
        if number < minimum or (maximum is not None and number > maximum):
            span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"expected a whole number {span}, got {number}")
        return number

    return parse


def add_bundle(command: argparse.ArgumentParser) -> None:
    """Add the bundle that a command works on, and the data that the bundle was trained on."""
    add = command.add_argument
    add("bundle", help="a bundle's folder, or the name of a shipped one")
    add(
        "--data",
        type=Path,
        help="the data that the bundle was trained on; the default is Fashion-MNIST as installed, "
        "or for `names` the surnames as fetched",
    )


def add_table(group: argparse._ArgumentGroup) -> None:
    """Add the options that say how a table becomes items."""
    add = group.add_argument
    add(
        "--kind",
        choices=("vector", "signal"),
        help="kind of a table's items: each row is a vector (the default), or each window of rows "
        "a signal",
    )
    add("--window", type=int, help=f"number of steps of a signal ({WINDOW})")
    add("--stride", type=int, help=f"steps from a window to the next ({STRIDE})")
    add(
        "--impute",
        choices=("median",),
        help="replace missing values by their feature's median (default: refuse them)",
    )
    add("--runs-by", metavar="COLUMN", help="column whose changes separate the runs of a signal")
    add("--ignore", metavar="COLUMN", nargs="+", default=[], help="columns that are not features")


def table_settings(options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the arguments of `tables.load`; None if the options name no table.

    Raises `InputError` for options of signals without --kind signal.
    """
    path: Path | None = options.data
    for_signals = {
        "--window": options.window,
        "--stride": options.stride,
        "--runs-by": options.runs_by,
    }
    for option, value in for_signals.items():
        if value is not None and options.kind != "signal":
            raise InputError(f"{option}: expected --kind signal with it: add that, or leave it out")
    table = path is not None and path.suffix.lower() in (".csv", ".parquet")
    if path is None or not (table or options.kind or options.impute):
        return None
    window = WINDOW if options.window is None else options.window
    stride = STRIDE if options.stride is None else options.stride
    if min(window, stride) < 1:
        raise InputError("expected --window and --stride of at least 1")
    return {
        "kind": options.kind or "vector",
        "window": window,
        "stride": stride,
        "impute": options.impute is not None,
        "runs_by": options.runs_by,
        "ignore": list(options.ignore),
        "seed": options.seed,
    }
