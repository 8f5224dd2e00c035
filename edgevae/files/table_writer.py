"""Tables of results: CSV and Parquet, in the columns that the reader of tables takes.

The first column is `id`. A vector or an image is a row of its features, x0, x1 and so on without
names. A signal is a row for each step, with the number of the `step` from 0.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae.errors import InputError
from edgevae.files.batches import Floats, Id
from edgevae.files.destination import open_output

Write = Callable[["Rows"], None]


class Rows(NamedTuple):
    """Rows of a table: ids, the steps of signals if they are, and the values, float32 (n, C)."""

    ids: Sequence[Id]
    values: Floats
    steps: NDArray[np.int64] | None = None


def item_rows(ids: Sequence[Id], x: Floats) -> Rows:
    """Return a row for each item of x (n, ...)."""
    return Rows(ids, x.reshape(len(x), -1))


def step_rows(ids: Sequence[Id], x: Floats) -> Rows:
    """Return a row for each step of the signals x (n, C, L)."""
    n, features, length = x.shape
    repeated = [own_id for own_id in ids for _ in range(length)]
    steps = np.tile(np.arange(length), n)
    return Rows(repeated, x.swapaxes(1, 2).reshape(n * length, features), steps)


def write_table(out: str, names: Sequence[str], batches: Iterable[Rows]) -> None:
    """Write rows under a header of `names`: Parquet if `out` ends so, else CSV.

    Floats in CSV are the shortest decimals that give the same float32. Columns `id` and `step` are
    left out if a feature has that name. Raises `InputError`.
    """
    parquet = Path(out).suffix.lower() == ".parquet"
    opened = _parquet if parquet else _csv
    with open_output(out, readable=not parquet) as file, opened(file, names) as write:
        for batch in batches:
            write(batch)


def _keys(rows: Rows, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return the columns before the values."""
    keys: dict[str, Sequence[Any]] = {"id": rows.ids}
    if rows.steps is not None:
        keys["step"] = rows.steps.tolist()
    return {name: column for name, column in keys.items() if name not in names}


@contextmanager
def _csv(file: IO[bytes], names: Sequence[str]) -> Iterator[Write]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    table = csv.writer(text, lineterminator="\n")
    empty = True

    def write(rows: Rows) -> None:
        nonlocal empty
        keys = _keys(rows, names)
        if empty:
            table.writerow([*keys, *names])
        empty = False
        cells = rows.values.astype(str).tolist()
        for *key, values in zip(*keys.values(), cells, strict=True):
            table.writerow([*key, *values])

    try:
        yield write
        if empty:
            table.writerow(["id", *names])
    finally:
        text.detach()  # flushes, and leaves the file open


@contextmanager
def _parquet(file: IO[bytes], names: Sequence[str]) -> Iterator[Write]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InputError(
            "Parquet needs pyarrow: pip install 'edgevae[parquet]', or write .csv"
        ) from error
    writer = None

    def write(rows: Rows) -> None:
        nonlocal writer
        columns = _keys(rows, names)
        columns |= dict(zip(names, rows.values.T, strict=True))
        table = pyarrow.table(columns)
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)

    try:
        yield write
        if writer is None:
            write(Rows([], np.empty((0, len(names)), np.float32)))
    finally:
        if writer is not None:
            writer.close()
