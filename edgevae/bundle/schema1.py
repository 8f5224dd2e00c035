"""Manifests of schema 1, read as those of schema 2.

Schema 1 had one graph of a role in each of its `variants`, "fp32" or "int8", and hints of cost by
role: `chunk_rows` and `row_bytes`. Its graphs are entries of target "any", although those that
were compiled may have been rewritten for the processor that compiled them.
"""

from typing import Any

from edgevae.bundle.graph_entry import ANY, FLOAT32, ROLES
from edgevae.json_fields import Fields

SCHEMA1 = 1
_PRECISIONS = {"fp32": FLOAT32}  # the other variants were named by their precision
_HINTS = ("row_bytes", "chunk_rows")


def upgrade(fields: Fields) -> Fields:
    """Return the fields of a manifest in schema 2, those that are unknown as they are.

    Fields of another schema are returned unchanged. Raises `BundleError`.
    """
    if fields.integer("schema") != SCHEMA1:
        return fields
    upgraded: dict[str, object] = {}
    for key in fields:
        if key == "variants":
            upgraded["graphs"] = _graphs(fields)
        elif key == "quality":
            quality = fields.fields("quality")
            upgraded[key] = {_precision(name): quality.take(name) for name in quality}
        elif key not in _HINTS:
            upgraded[key] = fields.take(key)
    return Fields({**upgraded, "schema": 2}, fields.where)


def _graphs(fields: Fields) -> list[dict[str, Any]]:
    hints = {key: fields.fields(key) for key in _HINTS if key in fields}
    graphs = []
    for variant, files in fields.fields("variants").each():
        for role in (role for role in ROLES if role in files):
            entry = {
                "role": role,
                "target": ANY,
                "precision": _precision(variant),
                "file": files.text(role),
            }
            known = {key: hint.take(role) for key, hint in hints.items() if role in hint}
            graphs.append({**entry, **known})
    return graphs


def _precision(variant: str) -> str:
    return _PRECISIONS.get(variant, variant)
