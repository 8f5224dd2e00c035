"""Tables as streams of rows: CSV and JSON lines, from a file or as they come, and Parquet.

A row is a vector, or one step of a signal, or in JSON a whole item. Columns are found by the
bundle's names of its features, in whatever order they stand; without names, or without a header,
they are taken in order.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.data.images import open_file
from edgevae.errors import InputError

SUFFIXES = {".csv", ".jsonl", ".ndjson", ".parquet"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
_PARQUET_ROWS = 1024

Floats = npt.NDArray[np.float32]
Tell = Callable[[str], None]


class Row(NamedTuple):
    """`values` float32, a number for each feature, or in JSON of x's shape.

    `where` names the row in errors, and `id` is its own, where it has one, or its number.
    """

    where: str
    id: str | int
    values: Floats


def read(path: Path, bundle: Bundle, tell: Tell) -> Iterator[Row]:
    """The rows of a file, by its suffix, one after the other.

    `tell` is called once with what is ignored. Raises `InputError`, which names the line.
    """
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path, bundle, tell)
        return
    with open_file(path) as file:
        parse = from_csv if path.suffix.lower() == ".csv" else from_json
        yield from parse(file, bundle, str(path), tell)


def from_csv(lines: Iterable[bytes], bundle: Bundle, where: str, tell: Tell) -> Iterator[Row]:
    """Rows of CSV, with a header or, where the first line holds numbers, without."""
    reader = csv.reader(_decoded(lines, where))
    first = next(reader, None)
    if first is None:
        return
    if all(map(is_number, first)):
        columns = _Columns(None, bundle, where, tell)
        yield columns.row(first, f"{where}, line {reader.line_num}", 0)
        number = 1
    else:
        columns, number = _Columns([name.strip() for name in first], bundle, where, tell), 0
    for row in reader:
        if row:
            yield columns.row(row, f"{where}, line {reader.line_num}", number)
            number += 1


def from_json(lines: Iterable[bytes], bundle: Bundle, where: str, tell: Tell) -> Iterator[Row]:
    """Rows of JSON, one a line.

    Each an array of numbers, of one for each feature or of x's shape; or an object of such an `x`,
    or of the features by name, and maybe of an `id`.
    """
    columns: _Columns | None = None
    number = 0
    for count, line in enumerate(_decoded(lines, where), 1):
        if not line.strip():
            continue
        place = f"{where}, line {count}"
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: expected a row of JSON, got {error}") from error
        if isinstance(given, dict) and "x" not in given:
            if columns is None or columns.header != list(given):
                columns = _Columns(list(given), bundle, place, tell if columns is None else _mute)
            yield columns.row(list(given.values()), place, number)
        elif isinstance(given, dict):
            yield Row(place, given.get("id", number), _item(given["x"], bundle, place))
        else:
            yield Row(place, number, _item(given, bundle, place))
        number += 1


def _parquet(path: Path, bundle: Bundle, tell: Tell) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow: pip install 'edgevae[parquet]', or write the table as "
            f"CSV"
        ) from error
    try:
        table = parquet.ParquetFile(path)
        columns = _Columns(list(table.schema_arrow.names), bundle, str(path), tell)
        number = 0
        for batch in table.iter_batches(_PARQUET_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield columns.row(row, f"{path}, row {number}", number)
                number += 1
    except (OSError, ArrowException) as error:
        raise InputError(f"{path}: expected a Parquet file, got {error}") from error


class _Columns:
    """Where in a row the bundle's features stand."""

    def __init__(self, header: list[str] | None, bundle: Bundle, where: str, tell: Tell) -> None:
        self.header = header
        count = width(bundle)
        known = bundle.features.names if bundle.features else None
        plain = [name for name in header or () if name != "id"]
        if header is None or known is None:
            names = plain if header else list(feature_names(bundle))
        else:
            names = list(known)
        self._names, self._bundle = names, bundle
        if header is None:
            self._places, self._width, self._id = list(range(count)), count, None
            return
        if missing := [name for name in names if name not in header]:
            raise InputError(
                f"{where}: expected a column {missing[0]!r}, one of the bundle's features, got "
                f"{', '.join(header)}"
            )
        if len(names) != count:
            raise InputError(
                f"{where}: expected {count} columns, as many as the bundle has features, got "
                f"{len(names)}: {', '.join(names)}"
            )
        self._places, self._width = [header.index(name) for name in names], len(header)
        self._id = header.index("id") if "id" in header and "id" not in names else None
        used = {*self._places, self._id}
        if ignored := [name for i, name in enumerate(header) if i not in used]:
            tell(f"{where}: ignored {', '.join(ignored)}: no features of the bundle")

    def row(self, cells: Sequence[Any], where: str, number: int) -> Row:
        """A row of the table, which is its `number`-th from 0."""
        if len(cells) != self._width:
            raise InputError(f"{where}: expected {self._width} values, got {len(cells)}")
        values = np.array(
            [
                _number(cells[i], name, where)
                for i, name in zip(self._places, self._names, strict=True)
            ],
            np.float32,
        )
        identity = number if self._id is None else cells[self._id]
        return Row(where, identity, _checked(values, self._names, self._bundle, where))


def _number(cell: object, name: str, where: str) -> float:
    """A cell as a number, NaN where it is missing."""
    if isinstance(cell, str) and cell.strip().lower() in MISSING:
        return float("nan")
    if cell is None:
        return float("nan")
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"{where}: expected a number in {name}, got {cell!r:.40}") from None


def is_number(cell: str) -> bool:
    """Whether a cell of a table holds a number, or says that it is missing."""
    try:
        float(cell)
    except ValueError:
        return cell.strip().lower() in MISSING
    return True


def _item(given: object, bundle: Bundle, where: str) -> Floats:
    """A step or vector (C,), or a whole x."""
    try:
        values = np.array(given, np.float32)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    step = (width(bundle),)
    if values.shape != bundle.x_shape and (values.shape != step or bundle.kind == "image"):
        one = f"{step[0]} numbers, or " if bundle.kind == "signal" else ""
        raise InputError(
            f"{where}: expected {one}x of shape {bundle.x_shape}, got {str(given)[:60]}"
        )
    return _checked(values, feature_names(bundle), bundle, where)


def width(bundle: Bundle) -> int:
    """Numbers in a row: one for each feature."""
    return bundle.x_shape[0] if bundle.kind == "signal" else prod(bundle.x_shape)


def feature_names(bundle: Bundle) -> tuple[str, ...]:
    """The bundle's, or x0, x1 and so on."""
    if bundle.features:
        return bundle.features.names
    return tuple(f"x{i}" for i in range(width(bundle)))


def _checked(values: Floats, names: Sequence[str], bundle: Bundle, where: str) -> Floats:
    """The values, finite, or missing where the bundle says what stands in for them."""
    bad = np.isinf(values)
    if bundle.features is None or bundle.features.impute is None:
        bad |= np.isnan(values)
    if bad.any():
        first = tuple(np.argwhere(bad)[0])
        name = names[first[0]] if len(names) == len(values) else f"x{list(first)}"
        raise InputError(
            f"{where}: expected a finite number in {name}, got {values[first]:g}; leave such rows "
            f"out, or train with --impute"
        )
    return values


def _decoded(lines: Iterable[bytes], where: str) -> Iterator[str]:
    """Each line as it comes."""
    for count, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if count == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}, line {count}: expected UTF-8, got {error}") from error


def _mute(_: str) -> None:
    """Says nothing: what is ignored was said once."""
