"""`python -m train anomalies`: anomaly scores beside published ones."""

import argparse
from pathlib import Path

from train.experiments import anomalies


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add("--data", type=Path, help="Fashion-MNIST's folder (default: as installed)")
    add("--tables", type=Path, help="folder of the tables' files (default: downloaded)")
    add(
        "--out",
        type=Path,
        default=Path("runs/anomalies"),
        help="folder of bundles and report (%(default)s)",
    )
    add(
        "--only",
        nargs="+",
        choices=anomalies.PARTS,
        metavar="PART",
        help="classes (0 to 9) and tables (default: all); finished parts are not repeated",
    )
    add("--validate", action="store_true", help="judge the choices by training images alone")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    anomalies.run(
        options.out,
        data=options.data,
        tables=options.tables,
        parts=options.only or anomalies.PARTS,
        validate=options.validate,
    )
