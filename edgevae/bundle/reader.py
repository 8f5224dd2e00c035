"""The reader of bundles. Reading writes nothing and fetches nothing."""

import os
from pathlib import Path

from edgevae import checks
from edgevae.bundle import onnx_file
from edgevae.bundle.bundle import Bundle
from edgevae.bundle.content import read_file, read_manifest
from edgevae.bundle.manifest import MANIFEST, Manifest, is_file_name
from edgevae.data import likelihood
from edgevae.errors import BundleError

_ZOO = Path(__file__).parents[1] / "zoo"


def names() -> list[str]:
    """Return the names of the bundles that are shipped with edgevae."""
    return sorted(path.parent.name for path in _ZOO.glob(f"*/{MANIFEST}"))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the folder of a bundle: of a shipped one by its name, of any other by its path.

    A `str` that names a shipped bundle is that bundle; for a folder of the same name, pass
    "./fashion" or a `Path`. Raises `BundleError` if there is no such folder.
    """
    if isinstance(name_or_path, str) and is_file_name(name_or_path):
        shipped = _ZOO / name_or_path
        if (shipped / MANIFEST).is_file():
            return shipped
    path = checks.path(name_or_path, "model")
    if not os.path.isdir(path):  # which is False for a name that is too long, too
        raise BundleError(
            f"expected the path of a bundle or the name of a shipped one "
            f"({', '.join(names()) or 'none is installed'}), got {os.fspath(name_or_path)!r}, "
            f"which is no folder; check the spelling"
        )
    return path


def read(path: str | os.PathLike[str]) -> Bundle:
    """Return the bundle in a folder, after checking every file.

    Raises `BundleError` for a file that is missing, truncated or altered or no regular file, for a
    graph that onnxruntime should not see (`onnx_file.check`), and for a manifest that is not
    understood.
    """
    folder = Path(path).absolute()
    manifest = Manifest.from_json(read_manifest(folder))
    graphs = {entry.file for entry in manifest.graphs}
    for name, file in manifest.files.items():
        content = read_file(folder / name, file)
        if name in graphs:
            onnx_file.check(folder / name, content)
    expanded = likelihood.per_value(manifest.likelihood, manifest.x_shape)
    return Bundle(**{**vars(manifest), "likelihood": expanded}, path=folder)
