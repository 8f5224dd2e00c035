"""Tune files: what `edgevae tune` measured on this machine, in the user's folder for caches.

A file belongs to the graphs of a bundle and to a setting on this machine. A damaged file, or one
from another machine, counts as none.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgevae import atomic
from edgevae.bundle import Bundle
from edgevae.engine.machine import cpu_name
from edgevae.engine.ort import onnxruntime
from edgevae.errors import InputError

# A bound on the rows in a tune file, above any sensible chunk.
_MAX_TUNED_ROWS = 1 << 24


class Setting(NamedTuple):
    """The surroundings of a graph: a provider's short name, a precision, a number of threads."""

    provider: str
    precision: str
    threads: int


class Tuned(NamedTuple):
    """The `chunk` and `single_call_rows` that `edgevae tune` measured as best for one graph."""

    chunk: int
    single_call_rows: int


def read_tuned(bundle: Bundle, setting: Setting) -> dict[str, Tuned]:
    """Return what `edgevae tune` wrote for a bundle in a setting, by role.

    The result is empty if there is no file, or if it is damaged or from another machine.
    """
    folder = _folder(bundle)
    if folder is None or not folder.is_dir():  # the usual case, which is cheap to check
        return {}
    try:
        content = json.loads((folder / _file_name(setting)).read_bytes())
        if content["machine"] != _machine(setting):
            return {}
        roles = {role: _tuned(fields) for role, fields in content["roles"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return roles


def _tuned(fields: dict[str, Any]) -> Tuned:
    """Return one role's fields, checked.

    Raises ValueError, TypeError or KeyError if they are damaged.
    """
    if "few" in fields:  # the name of `single_call_rows` in older files
        fields = {"chunk": fields["chunk"], "single_call_rows": fields["few"]}
    tuned = Tuned(**fields)
    if type(tuned.chunk) is not int or not 0 < tuned.chunk <= _MAX_TUNED_ROWS:
        raise ValueError("chunk")
    rows = tuned.single_call_rows
    if type(rows) is not int or not 0 <= rows <= _MAX_TUNED_ROWS:
        raise ValueError("single_call_rows")
    return tuned


def write_tuned(bundle: Bundle, setting: Setting, roles: Mapping[str, Tuned]) -> Path:
    """Store measurements, keeping those of other roles; return the file.

    Raises `InputError` if this user has no folder for caches, OSError if it is read-only.
    """
    folder = _folder(bundle)
    if folder is None:
        raise InputError("no folder for caches: set XDG_CACHE_HOME to the path of one")
    known = {**read_tuned(bundle, setting), **roles}
    content = {
        "bundle": bundle.name,
        "machine": _machine(setting),
        "roles": {role: tuned._asdict() for role, tuned in known.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _file_name(setting)
    with atomic.create(path) as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")
    return path


def _folder(bundle: Bundle) -> Path | None:
    """Return the folder for a bundle's graphs, which does not depend on the bundle's name."""
    caches = _caches()
    graphs = {bundle.files[entry.file].sha256 for entry in bundle.graphs}
    digest = _digest(sorted(graphs))
    return None if caches is None else caches / "edgevae" / "plans" / digest


def _file_name(setting: Setting) -> str:
    return f"{_digest(_machine(setting))}.json"


def _caches() -> Path | None:
    """Return the folder of the user's caches; None if there is none."""
    variable = {"win32": "LOCALAPPDATA"}.get(sys.platform, "XDG_CACHE_HOME")
    if os.path.isabs(folder := os.environ.get(variable, "")):
        return Path(folder)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")


def _machine(setting: Setting) -> dict[str, str | int]:
    """Return everything that a measurement depends on beside the graphs."""
    return {"cpu": cpu_name(), "onnxruntime": onnxruntime().__version__, **setting._asdict()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
