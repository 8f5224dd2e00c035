"""The entries of a bundle's graphs: the ONNX files by role, target and precision."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgevae.errors import BundleError
from edgevae.json_fields import Fields

ROLES = ("encoder", "decoder", "activations")
ANY: Final = "any"  # the target of graphs that suit every provider and machine
FLOAT32: Final = "float32"

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ROWS = re.compile(r"[1-9][0-9]{0,8}")
_HOW_TO_ADD = {
    "encoder": "it only decodes; make one with an encoder, by `edgevae compile --encoder`",
    "activations": "the score `nap` needs them; `python -m train export` writes them",
}


@dataclass(frozen=True)
class GraphEntry:
    """One graph of a bundle: the ONNX file that computes a role, and its cost.

    role: "encoder", "decoder" or "activations".
    target: the processors that the graph was rewritten for, "x86_64" or "aarch64", both with
        onnxruntime's CPU provider; "generic" for other providers; or "any" for the graph in normal
        form, without a rewrite.
    precision: "float32" or "int8".
    file: the name of the file in the bundle, which `write` chooses; several entries may name one.
    row_bytes: bytes of memory that one more row in flight takes; None if unknown.
    chunk_rows: rows that a worker should run at a time; None if unknown.
    call_us: microseconds of one call on one thread, by its number of rows; empty if unknown.
    """

    role: str
    target: str
    precision: str
    file: str = ""
    row_bytes: int | None = None
    chunk_rows: int | None = None
    call_us: Mapping[int, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """The role, target and precision, which no two entries of a bundle share."""
        return self.role, self.target, self.precision

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            **vars(self),
            "call_us": {str(rows): us for rows, us in self.call_us.items()},
        }
        return {key: value for key, value in fields.items() if value not in (None, {})}

    @classmethod
    def from_json(cls, fields: Fields) -> "GraphEntry":
        """Return the entry in these fields. Raises `BundleError`."""
        names = {key: fields.text(key) for key in ("target", "precision")}
        for key, name in names.items():
            if not _NAME.fullmatch(name):
                raise fields.bad(key, "lower-case letters, digits and underscores")
        return cls(
            fields.text("role", ROLES),
            **names,
            file=fields.text("file"),
            row_bytes=fields.count("row_bytes") if "row_bytes" in fields else None,
            chunk_rows=fields.count("chunk_rows") if "chunk_rows" in fields else None,
            call_us=_call_us(fields.fields("call_us")) if "call_us" in fields else {},
        )


def _call_us(fields: Fields) -> dict[int, float]:
    call_us = {}
    for rows in fields:
        if not _ROWS.fullmatch(rows):
            raise fields.bad(rows, "named by a number of rows")
        call_us[int(rows)] = fields.number(rows)
    return call_us


def entries_from_json(fields: Fields, files: Collection[str]) -> tuple[GraphEntry, ...]:
    """Return the entries in the field `graphs` of a manifest that lists these files.

    Raises `BundleError` if two entries have one role, target and precision, if a role has no
    float32 graph of target "any", or if there is no decoder.
    """
    entries = []
    for each in fields.objects("graphs"):
        entry = GraphEntry.from_json(each)
        if entry.file not in files:
            raise each.bad("file", "one of the listed files")
        if not entry.file.endswith(".onnx"):  # onnxruntime tells formats by the name
            raise each.bad("file", "named *.onnx")
        entries.append(entry)
    keys = [entry.key for entry in entries]
    if double := next((key for key in keys if keys.count(key) > 1), None):
        raise fields.bad("graphs", f"a list with one entry for {' '.join(double)}")
    for role in dict.fromkeys(["decoder", *(entry.role for entry in entries)]):
        if (role, ANY, FLOAT32) not in keys:
            raise fields.bad("graphs", f"a list with a {FLOAT32} {role} of target {ANY!r}")
    return tuple(entries)


def find(
    entries: Collection[GraphEntry], role: str, precision: str, targets: tuple[str, ...]
) -> GraphEntry:
    """Return the entry of the first of `targets` that the role has at a precision.

    "any" is tried last. A role without a graph in the precision has its float32 graph. Raises
    `BundleError` for a role without a graph.
    """
    known = {entry.key: entry for entry in entries}
    for at in (precision, FLOAT32):
        for target in (*targets, ANY):
            if (role, target, at) in known:
                return known[role, target, at]
    raise BundleError(f"no {role}: {how_to_add(role)}")


def how_to_add(role: str) -> str:
    """Return the advice for a bundle that lacks a graph of this role."""
    return _HOW_TO_ADD.get(role, "the roles are encoder, decoder and activations")
