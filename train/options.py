"""Options that several commands share."""

import argparse
from collections.abc import Callable
from pathlib import Path


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
