"""What `edgevae score` writes: a line for each item, as CSV or JSON, flushed with its batch."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from edgevae.bundle import Bundle
from edgevae.files.destination import open_output
from edgevae.scoring import Scores

FORMS = {".csv": "csv", ".jsonl": "json", ".ndjson": "json"}
COLUMNS = "id", "value", "p_value", "anomaly"
TOP = 3  # features that are named

Answer = dict[str, Any]
Write = Callable[[list[Answer]], None]


def answers(ids: list[str | int], scores: Scores, bundle: Bundle) -> list[Answer]:
    """An object for each item: `COLUMNS`, and for vectors and signals its strangest features.

    `top` has the `TOP` features that add most to the deviance, and by how many nats; of a signal
    over all its steps.
    """
    n = len(ids)
    columns = [
        [None] * n if column is None else column.tolist()
        for column in (scores.values, scores.p_values, scores.is_anomaly)
    ]
    found: list[Answer] = [
        dict(zip(COLUMNS, row, strict=True)) for row in zip(ids, *columns, strict=True)
    ]
    if bundle.data.tabular:
        names = bundle.data.feature_names
        nats = scores.parts.reshape(n, len(names), -1).sum(2, dtype=np.float64)
        for answer, each in zip(found, nats, strict=True):
            strangest = np.argsort(-each, kind="stable")[:TOP]
            answer["top"] = [{"feature": names[i], "nats": float(each[i])} for i in strangest]
    return found


def form_of(out: str, asked_json: bool) -> str:
    """ "csv" or "json", by the name of the file, or for "-" as asked. Raises ValueError."""
    if out == "-":
        return "json" if asked_json else "csv"
    try:
        return FORMS[Path(out).suffix.lower()]
    except KeyError:
        raise ValueError(f"expected a name that ends in {', '.join(FORMS)}, got {out!r}") from None


@contextmanager
def writer(out: str, form: str) -> Iterator[Write]:
    """Writes answers to a file, which appears when it is whole, or as they come to "-"."""
    if out == "-":
        yield _writing(sys.stdout, form)
        return
    with open_output(out) as binary, io.TextIOWrapper(binary, "utf-8", newline="") as file:
        yield _writing(file, form)


def _writing(file: IO[str], form: str) -> Write:
    table = csv.writer(file, lineterminator="\n")
    if form == "csv":
        table.writerow(COLUMNS)

    def write(found: list[Answer]) -> None:
        for answer in found:
            if form == "csv":
                table.writerow([_cell(answer[column]) for column in COLUMNS])
            else:
                file.write(json.dumps(answer) + "\n")
        file.flush()

    return write


def _cell(value: object) -> object:
    """As CSV has it: true and false as JSON has them, nothing for None."""
    return str(value).lower() if isinstance(value, bool) else value
