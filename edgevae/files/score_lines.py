"""The output of `edgevae score`: a line for each item, as CSV or JSON, written with its batch."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgevae import checks
from edgevae.bundle import Bundle
from edgevae.files.batches import Id
from edgevae.files.destination import open_output, writing_to
from edgevae.scoring import Scores

FORMS = {".csv": "csv", ".jsonl": "json", ".ndjson": "json"}
COLUMNS = "id", "value", "p_value", "anomaly"
TOP = 3  # features that a line of JSON names

Record = dict[str, Any]
Write = Callable[[list[Record]], None]


def records(ids: list[Id], scores: Scores, bundle: Bundle) -> list[Record]:
    """Return a record for each item, with the fields `COLUMNS`.

    For vectors and signals, the field `top` has the `TOP` features that add most to the deviance,
    and their nats; for a signal these are sums over all steps.
    """
    n = len(ids)
    columns = [
        [None] * n if column is None else column.tolist()
        for column in (scores.values, scores.p_values, scores.is_anomaly)
    ]
    lines: list[Record] = [
        dict(zip(COLUMNS, row, strict=True)) for row in zip(ids, *columns, strict=True)
    ]
    if bundle.data.tabular:
        names = bundle.data.feature_names
        nats = scores.parts.reshape(n, len(names), bundle.data.window or 1).sum(2, dtype=np.float64)
        for line, each in zip(lines, nats, strict=True):
            largest = np.argsort(-each, kind="stable")[:TOP]
            line["top"] = [{"feature": names[i], "nats": float(each[i])} for i in largest]
    return lines


def form_of(out: str, as_json: bool) -> str:
    """Return the form of an output, "csv" or "json": by its suffix, or for "-" by `as_json`.

    Raises ValueError for another name.
    """
    if out == "-":
        return "json" if as_json else "csv"
    checks.path(out, "output")
    try:
        return FORMS[Path(out).suffix.lower()]
    except KeyError:
        raise ValueError(f"expected a name that ends in {', '.join(FORMS)}, got {out!r}") from None


@contextmanager
def open_writer(out: str, form: str) -> Iterator[Write]:
    """Open a writer of records to a file, which appears when it is complete, or to "-".

    Standard output receives each batch as soon as it is written. The header of CSV comes with the
    first batch, so that an error before it leaves nothing, or at the end if there is none.
    """
    if out == "-":
        write = _writer(sys.stdout, form, out)
        yield write
        write([])
        return
    with open_output(out) as binary, io.TextIOWrapper(binary, "utf-8", newline="") as file:
        write = _writer(file, form, out)
        yield write
        write([])


def _writer(file: IO[str], form: str, out: str) -> Write:
    table = csv.writer(file, lineterminator="\n")
    header = [COLUMNS] if form == "csv" else []

    def write(lines: list[Record]) -> None:
        with writing_to(out):
            while header:
                table.writerow(header.pop())
            for line in lines:
                if form == "csv":
                    table.writerow([_cell(line[column]) for column in COLUMNS])
                else:
                    file.write(json.dumps(line) + "\n")
            file.flush()

    return write


def _cell(value: object) -> object:
    """Return a value as CSV has it: true and false as in JSON, nothing for None."""
    return str(value).lower() if isinstance(value, bool) else value
