"""Tables of the results of `bench_peers.py`: a line for each candidate, a column for each decoder.

tests/figures.py compares the tables of docs/results.md with these.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
# The candidate whose speed is also shown as a share of the machine's matrix product.
OURS = "edgevae float32"


def tables(rows: Sequence[Row]) -> dict[str, list[list[str]]]:
    """Return the lines of each table by its name, without the header.

    They are times plain onnxruntime at the decoder's batch, with the share of sgemm last, and at
    one row.
    """
    batch, one_row, share = (
        _lines(rows, key) for key in ("times_naive", "single_times_naive", "share_of_sgemm")
    )
    batch += [[f"{line[0]}, of sgemm", *line[1:]] for line in share if line[0] == OURS]
    return {"peers": batch, "peers, one row": one_row}


def _lines(rows: Sequence[Row], figure: str) -> list[list[str]]:
    """Return the lines of the candidates that have a figure, with "-" where it is missing."""
    found = {(row["candidate"], row["decoder"]): row for row in rows}
    decoders = dict.fromkeys(row["decoder"] for row in rows)
    form = "{:.0%}" if figure.startswith("share") else "{:.2f}x"
    lines = []
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        own = [found.get((candidate, decoder), {}) for decoder in decoders]
        cells = [form.format(row[figure]) if figure in row else "-" for row in own]
        if set(cells) != {"-"}:
            lines.append([candidate, *cells])
    return lines


def absent(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the candidates that were measured on no decoder, by the reason."""
    present = {row["candidate"] for row in rows if "absent" not in row}
    reasons: dict[str, list[str]] = {}
    for candidate, why in {r["candidate"]: r["absent"] for r in rows if "absent" in r}.items():
        if candidate not in present:
            reasons.setdefault(why, []).append(candidate)
    return reasons


def markdown(rows: Sequence[Row]) -> str:
    """Return both tables as docs/results.md shows them, and what was not measured."""
    decoders = list(dict.fromkeys(row["decoder"] for row in rows))
    parts = []
    for name, body in tables(rows).items():
        lines = [["candidate", *decoders], ["---"] * (1 + len(decoders)), *body]
        shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"<!-- table: {name} -->\n{shown}")
    parts += [f"Not measured: {', '.join(names)}. {why}" for why, names in absent(rows).items()]
    return "\n\n".join(parts)
