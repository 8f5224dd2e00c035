"""Tables as streams of rows: CSV and JSON lines, from a file or a stream, and Parquet.

A row is a vector, or one step of a signal, or in JSON a whole item. Columns are found by name, in
any order; without names, or without a header, they are taken in order.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.checks import open_file
from edgevae.data import numbered
from edgevae.errors import InputError, show

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

SUFFIXES = {".csv", ".jsonl", ".ndjson", ".parquet"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
_PARQUET_ROWS = 1024

Floats = npt.NDArray[np.float32]
Notify = Callable[[str], None]


class Row(NamedTuple):
    """`values` float32: a number for each column of the schema, or in JSON of one of its shapes.

    `where` names the row in errors. `id` is the row's own, or its number from 0. `step` is the
    value in the column `step`, unless that is a column of the schema.
    """

    where: str
    id: str | int
    values: Floats
    step: float | None = None


class Schema(NamedTuple):
    """The columns that a table should have.

    names: the columns' names in the order of the values.
    others: names that a header may have instead of `names`.
    required: a header must have these names; otherwise any names are taken in order.
    shapes: the shapes that a row of JSON may have.
    allow_missing: a value may be missing, and is then NaN.
    description: a description of the columns for errors.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()
    required: bool = False
    shapes: tuple[tuple[int, ...], ...] = ()
    allow_missing: bool = False
    description: str = "the bundle's features"


def schema(bundle: Bundle) -> Schema:
    """Return the columns of a table of a bundle's items, or of the steps of its signals."""
    return Schema(
        bundle.data.feature_names,
        required=bundle.features is not None,
        shapes=bundle.data.row_shapes,
        allow_missing=bundle.features is not None and bundle.features.impute is not None,
    )


# --- rows ------------------------------------------------------------------------------------


def read(path: Path, schema: Schema, notify: Notify) -> Iterator[Row]:
    """Yield the rows of a file one after the other; its suffix names its format.

    `notify` is called once with the columns that are ignored. Raises `InputError`, which names the
    line.
    """
    if path.suffix.lower() == ".parquet":
        yield from _from_parquet(path, schema, notify)
        return
    with open_file(path) as file:
        parse = from_csv if path.suffix.lower() == ".csv" else from_json
        yield from parse(file, schema, str(path), notify)


def from_csv(lines: Iterable[bytes], schema: Schema, where: str, notify: Notify) -> Iterator[Row]:
    """Yield rows of CSV, with a header, or without if the first line holds numbers."""
    rows = _csv_rows(lines, where)
    line, first = next(rows, (0, []))
    if not line:
        return
    if not is_header(first, schema.names, f"{where}, line {line}"):
        columns = _Columns(None, schema, where, notify)
        yield columns.row(first, f"{where}, line {line}", 0)
        start = 1
    else:
        columns, start = _Columns([name.strip() for name in first], schema, where, notify), 0
    for number, (line, row) in enumerate(rows, start):
        yield columns.row(row, f"{where}, line {line}", number)


def from_json(lines: Iterable[bytes], schema: Schema, where: str, notify: Notify) -> Iterator[Row]:
    """Yield rows of JSON, one a line.

    A row is an array of numbers, of one of the schema's shapes; or an object of such an `x`, or of
    the columns by name, and optionally of an `id`.
    """
    columns: _Columns | None = None
    number = 0
    for count, line in enumerate(_decoded(lines, where), 1):
        if not line.strip():
            continue
        place = f"{where}, line {count}"
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: expected a row of JSON, got {error}") from error
        if isinstance(content, dict) and "x" not in content:
            if columns is None or columns.header != list(content):
                columns = _Columns(
                    list(content), schema, place, notify if columns is None else ignore
                )
            yield columns.row(list(content.values()), place, number)
        elif isinstance(content, dict):
            own_id = _own_id(content.get("id"), number, place)
            yield Row(place, own_id, _item(content["x"], schema, place))
        else:
            yield Row(place, number, _item(content, schema, place))
        number += 1


def _from_parquet(path: Path, schema: Schema, notify: Notify) -> Iterator[Row]:
    with _Parquet(path) as table:
        columns = _Columns(list(table.schema_arrow.names), schema, str(path), notify)
        number = 0
        for batch in table.iter_batches(_PARQUET_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield columns.row(row, f"{path}, row {number}", number)
                number += 1


class _Columns:
    """The places of a schema's columns in the rows of a table."""

    def __init__(
        self, header: list[str] | None, schema: Schema, where: str, notify: Notify
    ) -> None:
        self.header, self._schema = header, schema
        self._names = list(schema.names)
        count = len(schema.names)
        self._id: int | None = None
        self._step: int | None = None
        if header is None:
            self._places, self._width = list(range(count)), count
            return
        self._names = _names_in(header, schema, where)
        if len(self._names) != count:
            raise InputError(
                f"{where}: expected {count} columns, as many as {schema.description}, got "
                f"{len(self._names)}: {', '.join(self._names)}"
            )
        for name in {*self._names, "id", "step"}:
            if header.count(name) > 1:
                raise InputError(f"{where}: expected each column once, got {show(name)} twice")
        self._places, self._width = [header.index(name) for name in self._names], len(header)
        self._id = header.index("id") if "id" in header and "id" not in self._names else None
        if "step" in header and "step" not in self._names:
            self._step = header.index("step")
        used = {*self._places, self._id, self._step}
        if ignored := [name for i, name in enumerate(header) if i not in used]:
            notify(f"{where}: ignored {', '.join(ignored)}: no features of the bundle")

    def row(self, cells: Sequence[Any], where: str, number: int) -> Row:
        """Return a row of the table, which is its `number`-th from 0."""
        if len(cells) != self._width:
            raise InputError(f"{where}: expected {self._width} values, got {len(cells)}")
        places = zip(self._places, self._names, strict=True)
        values = np.array([_number(cells[i], name, where) for i, name in places], np.float32)
        _check_values(values, self._names, self._schema, where)
        own_id = number if self._id is None else _own_id(cells[self._id], number, where)
        step = None if self._step is None else _number(cells[self._step], "step", where)
        return Row(where, own_id, values, step)


def _names_in(header: list[str], schema: Schema, where: str) -> list[str]:
    """Return the columns of a header that hold the values, in the schema's order."""
    for names in (schema.names, schema.others):
        if names and set(names) <= set(header):
            return list(names)
    if schema.required:
        missing = next(name for name in schema.names if name not in header)
        raise InputError(
            f"{where}: expected a column {missing!r}, one of {schema.description}, got "
            f"{', '.join(header)}"
        )
    return [name for name in header if name not in ("id", "step")]


# --- cells -----------------------------------------------------------------------------------


def is_header(cells: Sequence[str], names: Sequence[str], where: str) -> bool:
    """Return True if the first row of a table names its columns, False if it holds numbers.

    Raises `InputError` for a row of numbers and other cells, which may be data with a broken cell,
    unless it has all of `names`, or the others are `id` and `step`.
    """
    named = {cell.strip() for cell in cells}
    if all(map(is_number, cells)):
        return False
    values = [cell for cell in cells if cell.strip() not in ("id", "step")]
    numbers = sum(map(is_number, values))
    if (set(names) <= named and names) or not 0 < numbers < len(values):
        return True
    broken = next(cell for cell in values if not is_number(cell))
    raise InputError(
        f"{where}: expected numbers, or a header of names, got {show(broken)} among {numbers} "
        f"numbers; correct the row, or add a header"
    )


def is_number(cell: str) -> bool:
    """Return True if a cell of a table holds a number, or stands for a missing one."""
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _number(cell: object, name: str, where: str) -> float:
    """Return a cell as a number, NaN if it is missing."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return float("nan")
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: expected a number in {name}, got {show(cell)}") from None


def _own_id(content: object, number: int, where: str) -> str | int:
    """Return the id in a row as a number or a string, or `number` if the row has none."""
    if content is None or type(content) is int:
        return number if content is None else content
    text = str(content)
    if isinstance(content, (list, dict)) or any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"{where}: expected a string or a number as id, got {show(content)}")
    return text


def _item(content: object, schema: Schema, where: str) -> Floats:
    """Return the numbers of a row of JSON, in one of the schema's shapes."""
    try:
        values = np.array(content, np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.array(np.nan)
    if values.shape not in schema.shapes:
        *several, shape = schema.shapes
        either = "".join(f"{prod(each)} numbers, or " for each in several if each != shape)
        raise InputError(f"{where}: expected {either}x of shape {shape}, got {str(content)[:60]}")
    _check_values(values, schema.names, schema, where)
    return values


def _check_values(values: Floats, names: Sequence[str], schema: Schema, where: str) -> None:
    """Raise `InputError` for an infinite value, and for one that is missing but may not be."""
    bad = np.isinf(values) if schema.allow_missing else ~np.isfinite(values)
    if bad.any():
        first = tuple(np.argwhere(bad)[0])
        name = names[first[0]] if len(names) == len(values) else f"x{list(map(int, first))}"
        raise InputError(
            f"{where}: expected a finite number in {name}, got {values[first]:g}; leave such rows "
            f"out, or train with --impute"
        )


# --- formats ---------------------------------------------------------------------------------


def read_columns(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns of a table, CSV or Parquet, by name.

    The columns of a CSV are str; they are x0, x1 and so on if its first line holds numbers. Raises
    `InputError`.
    """
    if path.suffix.lower() == ".parquet":
        with _Parquet(path) as file:
            table = file.read()
        return {name: table[name].to_numpy() for name in table.column_names}
    with open_file(path) as lines:
        rows = [row for _, row in _csv_rows(lines, str(path))]
    if not rows:
        raise InputError(f"{path}: expected rows, got an empty file; add rows to it")
    header = is_header(rows[0], (), f"{path}, row 1")
    names = [name.strip() for name in rows[0]] if header else numbered("x", len(rows[0]))
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise InputError(f"{path}, row {number}: expected {len(names)} values, got {len(row)}")
    columns = np.array(rows[header:], dtype=np.str_).reshape(-1, len(names)).T
    return dict(zip(names, columns, strict=True))


def _csv_rows(lines: Iterable[bytes], where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line, from 1, and the cells of each row that is not empty."""
    reader = csv.reader(_decoded(lines, where))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except (csv.Error, MemoryError) as error:
        raise InputError(f"{where}, line {reader.line_num}: expected CSV, got {error}") from error


class _Parquet:
    """A context that opens a Parquet file and turns its errors into `InputError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "ParquetFile":
        try:
            from pyarrow import ArrowException, parquet
        except ModuleNotFoundError as error:
            raise InputError(
                f"{self._path}: Parquet needs pyarrow: pip install 'edgevae[parquet]', or write "
                f"the table as CSV"
            ) from error
        self._errors = (OSError, ArrowException)
        try:
            self._file = parquet.ParquetFile(self._path)
        except self._errors as error:
            raise self._unreadable(error) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, self._errors):
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> InputError:
        return InputError(f"{self._path}: expected a Parquet file, got {error}")


def _decoded(lines: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield each line of UTF-8 as str. Raises `InputError`, which names the line."""
    for count, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if count == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}, line {count}: expected UTF-8, got {error}") from error


def ignore(note: str) -> None:
    """Drop a note."""
