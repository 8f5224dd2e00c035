"""How many rows at a time: the plan of a graph, and where it comes from.

The size of a chunk is, in this order, the caller's; what `edgevae tune` measured on this machine;
what the bundle's maker measured or modelled (`chunk_rows` in the manifest); or a guess by the size
of x. `max_memory` bounds what is in flight under any of them.
"""

import functools
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from edgevae.bundle import Bundle
from edgevae.engine.ort import runtime
from edgevae.errors import InputError

# Up to so many rows a thread, one call with onnxruntime's own threads beats our workers.
_FEW = 4
# Chunks of the CPU in one chunk of an accelerator.
ACCELERATED = 16

# The widest layers of a convolutional decoder hold some 10 to 30 times as many numbers as one
# x_hat, and should stay in a core's cache from one to the next; the linear layers of a small one
# want many rows for each pass over their weights. At the bounds below, decoders of 28x28, 3x64x64
# and 3x128x128 pixels get 64, 16 and 4 rows, each within 15 % of the best of all sizes measured.
_IMAGE_ROWS = 64
_IMAGE_NUMBERS = 3 << 16
# Vectors come out of linear layers alone.
_VECTOR_ROWS = 256
_VECTOR_NUMBERS = 1 << 20

# Memory of a row in flight, in sizes of x, where the manifest does not state it. onnxruntime's
# arena took 14 to 130 of them for convolutional decoders, 6 for a linear one.
_IMAGE_SIZES = 128
_VECTOR_SIZES = 16

# More rows than any chunk.
_MOST = 1 << 24

_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kKMGT]?)(i?)B?")


class Setting(NamedTuple):
    """What a graph runs on: a provider's short name, a precision, so many threads."""

    provider: str
    precision: str
    threads: int


class Tuned(NamedTuple):
    """What `edgevae tune` found for one graph: the `chunk` and `few` of its plan."""

    chunk: int
    few: int


class Plan(NamedTuple):
    """How the rows of one graph are divided.

    Up to `few` rows are one call whose operators use all threads. More are chunks of at most
    `chunk` rows, run by `workers` workers whose operators use `threads` threads each. `source`
    says where the chunk comes from.
    """

    few: int
    chunk: int
    workers: int
    threads: int
    source: str


def choose(
    bundle: Bundle,
    role: str,
    setting: Setting,
    *,
    chunk: int | None = None,
    most: int | None = None,
) -> Plan:
    """The plan of a bundle's "encoder" or "decoder".

    `chunk` is the caller's, in rows; `most` bounds the rows in flight.
    """
    on_cpu = setting.provider == "cpu"
    # An accelerator has its own parallelism, and takes larger chunks one at a time. While it runs
    # one worker's, the other packs its last and draws the noise of its next.
    workers, larger = (setting.threads, 1) if on_cpu else (2, ACCELERATED)
    few = None
    if chunk is not None:
        source = "the caller"
    elif (tuned := read_tuned(bundle, setting).get(role)) is not None:
        chunk, few, source = *tuned, "edgevae tune"
    elif role in bundle.chunk_rows:
        chunk, source = larger * bundle.chunk_rows[role], "the manifest"
    else:
        chunk, source = larger * guess(bundle.kind, bundle.x_shape), "a guess by the size of x"
    if few is None:
        few = min(chunk, _FEW * setting.threads)
    if most is not None:
        workers = min(workers, most)
        chunk, few = min(chunk, most // workers), min(few, most)
    threads = max(1, setting.threads // workers) if on_cpu else setting.threads
    return Plan(few, chunk, workers, threads, source)


def most_rows(bundle: Bundle, role: str, max_memory: int) -> int:
    """Rows that may be in flight in so many bytes: half of them, as a batch of `VAE.stream` may
    take the other half. Raises `InputError` where not one may.
    """
    need = 2 * row_bytes(bundle, role)
    if max_memory < need:
        raise InputError(
            f"max_memory: expected at least {need:,} bytes, so that one row of the {role} fits "
            f"into half of it, got {max_memory:,}"
        )
    return max_memory // need


def guess(kind: str, x_shape: tuple[int, ...]) -> int:
    """Rows that one worker should run at a time, by the kind and size of x alone."""
    rows, numbers = (
        (_IMAGE_ROWS, _IMAGE_NUMBERS) if kind == "image" else (_VECTOR_ROWS, _VECTOR_NUMBERS)
    )
    return max(1, min(rows, numbers // math.prod(x_shape)))


def row_bytes(bundle: Bundle, role: str) -> int:
    """Memory that one more row in flight takes: the manifest's `row_bytes`, or an estimate."""
    sizes = _IMAGE_SIZES if bundle.kind == "image" else _VECTOR_SIZES
    return bundle.row_bytes.get(role, 4 * (sizes * math.prod(bundle.x_shape) + bundle.dims))


def memory(value: int | str) -> int:
    """Bytes of a size as `max_memory` takes it: 64000000, "64MB", "61 MiB", "1.5G".

    k, M, G and T are powers of 1000, with an i of 1024. Raises `InputError`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not float(match[1]):
        raise InputError(
            f"max_memory: expected a number of bytes above 0, or a size such as '64MB' or "
            f"'1.5GiB', got {value!r:.60}"
        )
    power = "kMGT".find(match[2].replace("K", "k")) + 1 if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


# --- what was measured on this machine -------------------------------------------------------


def read_tuned(bundle: Bundle, setting: Setting) -> dict[str, Tuned]:
    """What `edgevae tune` wrote for a bundle in a setting, by role.

    A file that is missing, damaged or another machine's counts as none.
    """
    folder = _folder(bundle)
    if folder is None or not folder.is_dir():  # most often, and cheap to see
        return {}
    try:
        found = json.loads((folder / _name(setting)).read_bytes())
        if found["machine"] != _machine(setting):
            return {}
        roles = {role: Tuned(**rows) for role, rows in found["roles"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return roles if all(map(_sane, roles.values())) else {}


def _sane(tuned: Tuned) -> bool:
    whole = type(tuned.chunk) is int and type(tuned.few) is int
    return whole and 0 < tuned.chunk <= _MOST and 0 <= tuned.few <= _MOST


def write_tuned(bundle: Bundle, setting: Setting, roles: Mapping[str, Tuned]) -> Path:
    """Keeps what was found, beside what is known of other roles; returns the file.

    Raises `InputError` where this user has no folder for caches, OSError where it is read-only.
    """
    folder = _folder(bundle)
    if folder is None:
        raise InputError("no folder for caches: set XDG_CACHE_HOME to the path of one")
    known = {**read_tuned(bundle, setting), **roles}
    content = {
        "bundle": bundle.name,
        "machine": _machine(setting),
        "roles": {role: rows._asdict() for role, rows in known.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name(setting)
    draft = path.with_suffix(f".{os.urandom(4).hex()}")
    try:
        draft.write_text(json.dumps(content, indent=2) + "\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _folder(bundle: Bundle) -> Path | None:
    """Where what is known of a bundle's graphs is kept, whatever the bundle is called."""
    caches = _caches()
    graphs = {file for roles in bundle.variants.values() for file in roles.values()}
    digest = _digest(sorted(bundle.files[file].sha256 for file in graphs))
    return None if caches is None else caches / "edgevae" / "plans" / digest


def _name(setting: Setting) -> str:
    return f"{_digest(_machine(setting))}.json"


def _caches() -> Path | None:
    """The folder of the user's caches."""
    named = {"win32": "LOCALAPPDATA"}.get(sys.platform, "XDG_CACHE_HOME")
    if os.path.isabs(folder := os.environ.get(named, "")):
        return Path(folder)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")


def _machine(setting: Setting) -> dict[str, str | int]:
    """What a measurement holds for."""
    return {"cpu": cpu(), "onnxruntime": runtime().__version__, **setting._asdict()}


@functools.cache
def cpu() -> str:
    """The name of this machine's processor."""
    import platform

    try:
        with open("/proc/cpuinfo") as lines:
            names = (
                line.partition(":")[2].strip() for line in lines if line.startswith("model name")
            )
            return next(names)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
