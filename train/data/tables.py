"""Tables of numbers, a feature each column: vectors, or signals cut into windows.

CSV, Parquet, .npy and .npz; a folder's files are runs of one recording, as are the stretches of a
file over which the column `runs_by` keeps its value.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.files.tables import MISSING, numbered, read_columns
from train.data import windows
from train.data.dataset import Data, hold_out, read_array

LEAST = 10  # items

Doubles = NDArray[np.float64]
Columns = dict[str, NDArray[np.generic]]


def load(
    path: Path,
    kind: str,
    *,
    window: int = 128,
    stride: int = 16,
    impute: bool = False,
    runs_by: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
    seed: int = 0,
) -> Data:
    """Vectors (N, C), of each row, or signals (N, C, window), of each window of rows.

    `runs_by` names the column that tells one run from the next, `ignore` those that are no
    features, and `only` those that are, if not all others. A tenth is held out, as `data.hold_out`
    does for vectors and `windows.split` for signals. Missing values raise InputError, or with
    `impute` become the median of the feature in the training part.
    """
    names, runs = features(path, runs_by, ignore, only)
    check(path, names, runs, impute)
    name = path.resolve().stem
    if kind == "vector":
        parted = hold_out(name, np.concatenate(runs).astype(np.float32), seed, allow_missing=impute)
        train, test = parted.train, parted.test
    else:
        parts = windows.split(runs, window, stride, seed)
        train, test = (torch.from_numpy(np.concatenate(p).astype(np.float32)) for p in parts)
    if len(train) < LEAST:
        raise InputError(
            f"expected at least {LEAST} items to train on in {path}, got {len(train)}: add data"
            + ("" if kind == "vector" else ", or give a smaller --stride")
        )
    medians = None
    if impute:
        medians = feature_medians(train)
        train, test = (filled(part, medians) for part in (train, test))
    return Data(
        name,
        kind,
        train,
        test,
        "unknown",
        names=names,
        impute=None if medians is None else tuple(medians.tolist()),
        stride=stride if kind == "signal" else None,
    )


def add_arguments(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--kind",
        choices=("vector", "signal"),
        help="of a table: a vector each row (the default), or a signal each window of rows",
    )
    add("--window", type=int, default=128, help="steps of a signal (128)")
    add("--stride", type=int, default=16, help="steps from one window to the next (16)")
    add(
        "--impute", choices=("median",), help="what replaces missing values, which else are refused"
    )
    add("--runs-by", metavar="COLUMN", help="whose changes tell one run of a signal from the next")
    add("--ignore", metavar="COLUMN", nargs="+", default=[], help="columns that are no features")


def reading(options: argparse.Namespace) -> dict[str, Any] | None:
    """What the command line tells `load`; None where it names no table."""
    path: Path | None = options.data
    table = path is not None and path.suffix.lower() in (".csv", ".parquet")
    if path is None or not (table or options.kind or options.impute):
        return None
    if min(options.window, options.stride) < 1:
        raise InputError("expected --window and --stride of at least 1")
    return {
        "kind": options.kind or "vector",
        "window": options.window,
        "stride": options.stride,
        "impute": options.impute is not None,
        "runs_by": options.runs_by,
        "ignore": list(options.ignore),
        "seed": options.seed,
    }


def load_again(trained: Bundle, path: Path) -> Data:
    """The data that a bundle was trained on, parted as they were then."""
    assert trained.features is not None
    return load(
        path,
        trained.kind,
        window=trained.data.window or 1,
        stride=trained.stride or 1,
        impute=trained.features.impute is not None,
        runs_by=str(trained.provenance["runs_by"]) if "runs_by" in trained.provenance else None,
        only=trained.features.names,
        seed=int(trained.provenance["recipe_seed"]),
    )


# --- reading ---------------------------------------------------------------------------------


def features(
    path: Path,
    runs_by: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
) -> tuple[tuple[str, ...], list[Doubles]]:
    """The features' names, and each run's numbers (T, C), NaN where one is missing."""
    names: tuple[str, ...] = ()
    runs: list[Doubles] = []
    for file in files(path):
        columns = READERS[file.suffix.lower()](file)
        for column in (*ignore, *only, *([runs_by] if runs_by else [])):
            if column not in columns:
                raise InputError(
                    f"expected a column {column!r} in {file}, got {', '.join(columns)}"
                )
        labels = columns.pop(runs_by) if runs_by else None
        wanted = only or [key for key in columns if key not in ignore]
        kept = {key: columns[key] for key in wanted}
        if names and tuple(kept) != names:
            raise InputError(
                f"expected the columns of the files before, {', '.join(names)}, got "
                f"{', '.join(kept)} in {file}"
            )
        names = tuple(kept)
        rows = np.stack([numbers(file, key, column) for key, column in kept.items()], axis=1)
        changes = [] if labels is None else np.flatnonzero(labels[1:] != labels[:-1]) + 1
        runs += np.split(rows, changes)
    return names, runs


def files(path: Path) -> list[Path]:
    """The table at `path`, or those in a folder, by name."""
    if not path.exists():
        raise FileNotFoundError(f"expected data at {path}, found nothing: check --data")
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    tables = [file for file in found if file.suffix.lower() in READERS]
    if not tables:
        raise InputError(f"expected a table ({', '.join(READERS)}), got {path}")
    return tables


def read_numpy(path: Path) -> Columns:
    array = read_array(path)
    if array.ndim != 2:
        raise InputError(
            f"expected rows of features (T, C) in {path}, got an array of shape {array.shape}"
        )
    return dict(zip(numbered("x", array.shape[1]), array.T, strict=True))


READERS: dict[str, Callable[[Path], Columns]] = {
    ".csv": read_columns,
    ".parquet": read_columns,
    ".npy": read_numpy,
    ".npz": read_numpy,
}


def numbers(path: Path, name: str, column: NDArray[np.generic]) -> Doubles:
    """A column as numbers; InputError that names the first that is none, and what to do."""
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values = np.empty(len(column))
    for i, value in enumerate(column):
        text = "" if value is None else str(value).strip()
        try:
            values[i] = np.nan if text.lower() in MISSING else float(text)
        except ValueError:
            raise InputError(
                f"expected numbers in column {name!r} of {path}, got {text!r:.40} in row {i + 1}: "
                f"leave it out (--ignore {name}), or, where it names runs, --runs-by {name}"
            ) from None
    return values


# --- missing values --------------------------------------------------------------------------


def check(path: Path, names: Sequence[str], runs: list[Doubles], impute: bool) -> None:
    """Raises InputError for infinity, and for missing values unless they are imputed."""
    infinite = sum(np.isinf(run).sum(0) for run in runs)
    if np.any(infinite):
        raise InputError(
            f"expected finite numbers in {path}, got infinity: {told(names, infinite)}"
        )
    missing = sum(np.isnan(run).sum(0) for run in runs)
    if np.any(missing) and not impute:
        raise InputError(
            f"expected no missing values in {path}, got {told(names, missing)}: fill them, leave "
            "the column out (--ignore), or give --impute median"
        )
    empty = [
        name for name, count in zip(names, missing, strict=True) if count == sum(map(len, runs))
    ]
    if empty:
        raise InputError(f"expected values in column {empty[0]!r} of {path}, got none: --ignore it")


def told(names: Sequence[str], counts: NDArray[np.int64]) -> str:
    """How many values of which columns: the worst three."""
    order = np.argsort(-counts, kind="stable")[: min(3, np.count_nonzero(counts))]
    shown = ", ".join(f"{counts[i]:,} in column {names[i]!r}" for i in order)
    more = np.count_nonzero(counts) - len(order)
    return f"{shown} and in {more} more columns" if more else shown


def feature_medians(items: torch.Tensor) -> torch.Tensor:
    """(C,) over items (N, C) or (N, C, L), without what is missing."""
    values = items.transpose(0, 1).flatten(1).numpy()
    return torch.from_numpy(np.nan_to_num(np.nanmedian(values, axis=1)).astype(np.float32))


def filled(items: torch.Tensor, medians: torch.Tensor) -> torch.Tensor:
    shape = (-1, *(1,) * (items.ndim - 2))
    return torch.where(items.isnan(), medians.reshape(shape), items)
