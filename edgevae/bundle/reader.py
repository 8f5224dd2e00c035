"""The reader of bundles. Reading writes nothing and fetches nothing."""

import hashlib
import os
from pathlib import Path

from edgevae import checks
from edgevae.bundle.bundle import Bundle
from edgevae.bundle.manifest import MANIFEST, File, Manifest, is_file_name
from edgevae.data import likelihood
from edgevae.errors import BundleError
from edgevae.json_fields import Fields, parse

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
    """Return the bundle in a folder, after checking the size and SHA-256 of every file.

    Raises `BundleError` for a file that is missing, truncated or altered, and for a manifest that
    is not understood.
    """
    folder = Path(path).absolute()
    manifest = Manifest.from_json(read_manifest(folder))
    for name, file in manifest.files.items():
        _check_file(folder / name, file)
    expanded = likelihood.per_value(manifest.likelihood, manifest.x_shape)
    return Bundle(**{**vars(manifest), "likelihood": expanded}, path=folder)


def read_manifest(folder: Path) -> Fields:
    """Return the fields of a folder's manifest.json. Raises `BundleError`."""
    return Fields(parse(folder / MANIFEST), str(folder / MANIFEST))


def _check_file(path: Path, expected: File) -> None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected.bytes:
                raise BundleError(
                    f"{path}: expected {expected.bytes} bytes, got {size}; copy the bundle again"
                )
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; copy the bundle again") from error
    if sha256 != expected.sha256:
        raise BundleError(
            f"{path}: expected sha256 {expected.sha256[:12]}..., got {sha256[:12]}...: the file "
            f"was altered after it was written; copy the bundle again"
        )
