"""The writer of bundles: a bundle appears complete under its path, or not at all."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from edgevae import atomic, checks, npz
from edgevae.bundle import schema1
from edgevae.bundle.bundle import MIXTURE_ARRAYS, Bundle, Mixture, own_outputs, selfcheck_arrays
from edgevae.bundle.content import read_file, read_manifest
from edgevae.bundle.graph_entry import ANY, FLOAT32, ROLES, GraphEntry
from edgevae.bundle.manifest import MANIFEST, PRIOR_FILE, SELFCHECK_FILE, File, Manifest
from edgevae.bundle.reader import read
from edgevae.errors import BundleError

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def write(
    path: str | os.PathLike[str],
    manifest: Manifest,
    graphs: Sequence[tuple[GraphEntry, bytes]],
    *,
    selfcheck: Mapping[str, npt.ArrayLike],
    prior: Mixture | None = None,
    arrays: Mapping[str, Mapping[str, npt.ArrayLike]] = _EMPTY,
) -> Bundle:
    """Write a bundle and return it as it is read back.

    `path` is a new folder, an empty one, or a bundle, which is replaced. `graphs` are entries with
    the content of their ONNX files, whose names are chosen here: equal graphs are one file.
    `selfcheck` has the arrays that `Bundle.selfcheck` returns, `prior` is the mixture prior, and
    `arrays` are further .npz files, as in `extend`. The manifest's files, graphs, prior and number
    of components are set from these.

    Raises `BundleError` if the reader would refuse the result, or if `path` holds anything that is
    not part of a bundle. Nothing is changed then.
    """
    entries, files = _named(graphs)
    roles = [role for role in ROLES if any(entry.role == role for entry in entries)]
    known = [*selfcheck_arrays(roles, manifest.classes), *own_outputs(entries)]
    keys = [key for key in known if key in selfcheck]
    files[SELFCHECK_FILE] = npz.dump_typed({key: selfcheck[key] for key in keys})
    kind, components = ("none" if manifest.model == "autoencoder" else "normal"), 0
    if prior is not None:
        files[PRIOR_FILE] = npz.dump_typed({key: getattr(prior, key) for key in MIXTURE_ARRAYS})
        kind, components = "mixture", len(prior.weights)
    files |= {name: npz.dump(each) for name, each in arrays.items()}
    manifest = replace(manifest, graphs=entries, prior=kind, components=components)
    return _publish(path, manifest.as_json(), files)


def extend(
    bundle: Bundle,
    path: str | os.PathLike[str],
    *,
    arrays: Mapping[str, Mapping[str, npt.ArrayLike]] = _EMPTY,
    fields: Mapping[str, object] = _EMPTY,
) -> Bundle:
    """Write a copy of a bundle with further .npz files and fields of the manifest; return it.

    `arrays` is by file and name, such as {"statistics.npz": {"mu_mean": ...}}; the arrays keep
    their dtypes. `fields` are written as JSON. A file or field of the same name is replaced; what
    this version does not know is copied. `path` is as in `write`, or the bundle's own. Raises
    `BundleError` as `write` does; nothing is changed then.
    """
    known = schema1.upgrade(read_manifest(bundle.path))
    manifest = {key: known.take(key) for key in known}
    files = {name: read_file(bundle.path / name, file) for name, file in bundle.files.items()}
    files |= {name: npz.dump(each) for name, each in arrays.items()}
    return _publish(path, {**manifest, **fields}, files)


def _publish(
    path: str | os.PathLike[str], fields: Mapping[str, object], files: Mapping[str, bytes]
) -> Bundle:
    """Write a bundle of a manifest and these files, and return it as it is read back."""
    listed = {
        name: File(hashlib.sha256(content).hexdigest(), len(content)).as_json()
        for name, content in files.items()
    }
    fields = {**{key: value for key, value in fields.items() if key != "files"}, "files": listed}
    try:
        manifest = json.dumps(fields, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"the manifest takes strings and finite numbers only: {error}") from error

    target = checks.path(path, "path").resolve()
    try:
        return _put(target, {**files, MANIFEST: manifest.encode()})
    except OSError as error:
        raise BundleError(
            f"{target}: cannot be written: {error.strerror or error}; name a place that exists, "
            f"has free space and may be written"
        ) from error


def _put(target: Path, files: Mapping[str, bytes]) -> Bundle:
    """Write the files into a folder that appears complete, and return the bundle in it."""
    check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.create_folder(target) as draft:
        for name, content in files.items():
            atomic.write(draft / name, content)
        written = read(draft)
        written.mixture()
        written.selfcheck()
    return read(target)


def check_replaceable(target: Path) -> None:
    """Raise `BundleError` unless the target may be deleted: nothing, or a bundle and no more."""
    if not target.exists():
        return
    if not target.is_dir():
        raise BundleError(f"{target}: expected a folder or nothing, got a file; name another path")
    strangers = {entry.name for entry in target.iterdir()}
    if not strangers:
        return
    if MANIFEST not in strangers:
        raise BundleError(
            f"{target}: refused to replace a folder that is not a bundle "
            f"({', '.join(sorted(strangers)[:3])}); name another path"
        )
    strangers -= {MANIFEST, *read_manifest(target).fields("files")}
    if strangers:
        raise BundleError(
            f"{target}: refused to replace a folder that holds more than a bundle "
            f"({', '.join(sorted(strangers)[:3])}); name another path"
        )


def _named(
    graphs: Sequence[tuple[GraphEntry, bytes]],
) -> tuple[tuple[GraphEntry, ...], dict[str, bytes]]:
    """Return the entries in the order of the manifest with the names of their files, and those.

    float32 comes before other precisions, and the target "any" before others.
    """
    entries: list[GraphEntry] = []
    files: dict[str, bytes] = {}
    for entry, content in sorted(graphs, key=lambda graph: _order(graph[0])):
        equal = (file for file, other in files.items() if other == content)
        name = next(equal, _file_name(entry))
        files[name] = content
        entries.append(replace(entry, file=name))
    return tuple(entries), files


def _order(entry: GraphEntry) -> tuple[bool, int, bool]:
    return entry.precision != FLOAT32, ROLES.index(entry.role), entry.target != ANY


def _file_name(entry: GraphEntry) -> str:
    target = "" if entry.target == ANY else f".{entry.target}"
    precision = "" if entry.precision == FLOAT32 else f".{entry.precision}"
    return f"{entry.role}{target}{precision}.onnx"
