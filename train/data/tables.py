"""Read tables of numbers, one column a feature: vectors, or signals that are cut into windows.

A table is a CSV, Parquet, .npy or .npz file. The files of a folder are runs of one recording, and
so are the parts of a file over which the column `runs_by` keeps its value.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgevae.bundle import Bundle
from edgevae.data import numbered
from edgevae.errors import InputError
from edgevae.files import MISSING, read_columns
from train.data import windows
from train.data.dataset import Data, hold_out, read_array

MIN_ITEMS = 10  # to train on

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
    """Return the rows of a table as vectors (N, C), or windows of rows as signals (N, C, window).

    `kind` is "vector" or "signal". `runs_by` names the column whose changes separate runs, `ignore`
    the columns that are not features, and `only` the columns that are (default: all others). A
    tenth is held out, chosen by `seed`, as `dataset.hold_out` does for vectors and `windows.split`
    for signals. A missing value raises `InputError`, or with `impute` becomes the median of its
    feature in the training part.
    """
    names, runs = read_features(path, runs_by, ignore, only)
    check_values(path, names, runs, impute)
    name = path.resolve().stem
    if kind == "vector":
        rows = np.concatenate(runs).astype(np.float32)
        vectors = hold_out(name, rows, seed, allow_missing=impute)
        train, test = vectors.train, vectors.test
    else:
        parts = windows.split(runs, window, stride, seed)
        train, test = (torch.from_numpy(np.concatenate(p).astype(np.float32)) for p in parts)
    if len(train) < MIN_ITEMS:
        raise InputError(
            f"expected at least {MIN_ITEMS} items to train on in {path}, got {len(train)}: add data"
            + ("" if kind == "vector" else ", or pass a smaller --stride")
        )
    medians = None
    if impute:
        medians = feature_medians(train)
        train, test = (fill(part, medians) for part in (train, test))
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


def load_again(bundle: Bundle, path: Path) -> Data:
    """Return the data that a bundle was trained on, split into the same two parts."""
    assert bundle.features is not None
    return load(
        path,
        bundle.kind,
        window=bundle.data.window or 1,
        stride=bundle.stride or 1,
        impute=bundle.features.impute is not None,
        runs_by=str(bundle.provenance["runs_by"]) if "runs_by" in bundle.provenance else None,
        only=bundle.features.names,
        seed=int(bundle.provenance["recipe_seed"]),
    )


# --- reading ---------------------------------------------------------------------------------


def read_features(
    path: Path,
    runs_by: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
) -> tuple[tuple[str, ...], list[Doubles]]:
    """Return the names of the features and the numbers (T, C) of each run, NaN where missing."""
    names: tuple[str, ...] = ()
    runs: list[Doubles] = []
    for file in table_files(path):
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
        rows = np.stack([to_numbers(file, key, column) for key, column in kept.items()], axis=1)
        changes = [] if labels is None else np.flatnonzero(labels[1:] != labels[:-1]) + 1
        runs += np.split(rows, changes)
    return names, runs


def table_files(path: Path) -> list[Path]:
    """Return the table at `path`, or the tables of the folder in the order of their names."""
    if not path.exists():
        raise FileNotFoundError(f"expected data at {path}, found nothing: check --data")
    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    tables = [file for file in paths if file.suffix.lower() in READERS]
    if not tables:
        raise InputError(f"expected a table ({', '.join(READERS)}), got {path}")
    return tables


def read_numpy(path: Path) -> Columns:
    """Return the columns of an array (T, C), named x0, x1 and so on."""
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


def to_numbers(path: Path, name: str, column: NDArray[np.generic]) -> Doubles:
    """Return a column as numbers; raise `InputError` with the first cell that is not one."""
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
                f"leave it out (--ignore {name}), or, if it names runs, pass --runs-by {name}"
            ) from None
    return values


# --- missing values --------------------------------------------------------------------------


def check_values(path: Path, names: Sequence[str], runs: list[Doubles], impute: bool) -> None:
    """Raise `InputError` for infinity, and for missing values unless they are imputed."""
    infinite = sum(np.isinf(run).sum(0) for run in runs)
    if np.any(infinite):
        raise InputError(
            f"expected finite numbers in {path}, got infinity: {describe_counts(names, infinite)}"
        )
    missing = sum(np.isnan(run).sum(0) for run in runs)
    if np.any(missing) and not impute:
        raise InputError(
            f"expected no missing values in {path}, got {describe_counts(names, missing)}: fill "
            "them, leave the column out (--ignore), or pass --impute median"
        )
    rows = sum(map(len, runs))
    empty = [name for name, count in zip(names, missing, strict=True) if count == rows]
    if empty:
        raise InputError(f"expected values in column {empty[0]!r} of {path}, got none: --ignore it")


def describe_counts(names: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Return in words how many values there are in which columns, the three largest counts."""
    order = np.argsort(-counts, kind="stable")[: min(3, np.count_nonzero(counts))]
    shown = ", ".join(f"{counts[i]:,} in column {names[i]!r}" for i in order)
    more = np.count_nonzero(counts) - len(order)
    return f"{shown} and in {more} more columns" if more else shown


def feature_medians(items: torch.Tensor) -> torch.Tensor:
    """Return the medians (C,) of items (N, C) or (N, C, L), leaving out missing values."""
    values = items.transpose(0, 1).flatten(1).numpy()
    return torch.from_numpy(np.nan_to_num(np.nanmedian(values, axis=1)).astype(np.float32))


def fill(items: torch.Tensor, medians: torch.Tensor) -> torch.Tensor:
    """Replace the missing values of items (N, C) or (N, C, L) by the features' medians (C,)."""
    shape = (-1, *(1,) * (items.ndim - 2))
    return torch.where(items.isnan(), medians.reshape(shape), items)
