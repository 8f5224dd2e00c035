"""Read the files of a bundle: regular files of bounded size that the manifest lists.

A link, a pipe or a device is refused before it is read. So a bundle cannot reach out of its folder,
and reading it cannot wait for ever.
"""

import hashlib
import os
import stat
from pathlib import Path

from edgevae.bundle.manifest import MANIFEST, File
from edgevae.errors import BundleError
from edgevae.json_fields import Fields, parse

_MOST_MANIFEST_BYTES = 16 << 20  # hundreds of thousands of numbers

_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # those that the system has
    _FLAGS |= getattr(os, _name, 0)


def read_manifest(folder: Path) -> Fields:
    """Return the fields of a folder's manifest.json. Raises `BundleError`."""
    path = folder / MANIFEST
    try:
        content = _read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder}: not a bundle, as it has no {MANIFEST}; "
            f"make one with `python -m train export`"
        ) from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; copy the bundle again") from error
    return Fields(parse(content, str(path)), str(path))


def read_file(path: Path, file: File) -> bytes:
    """Return the content of a file, which has the size and the SHA-256 in the manifest.

    Raises `BundleError` if it has others, and for anything but a regular file.
    """
    try:
        content = _read_regular(path, file.bytes)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; copy the bundle again") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        raise BundleError(
            f"{path}: expected sha256 {file.sha256[:12]}..., got {sha256[:12]}...: the file "
            f"was altered after it was written; copy the bundle again"
        )
    return content


def _read_regular(path: Path, expected: int | None = None) -> bytes:
    """Return the content of a regular file of `expected` bytes, or of few enough for a manifest.

    Raises OSError if it cannot be opened, and `BundleError` for another file.
    """
    if path.is_symlink():
        raise BundleError(
            f"{path}: expected a regular file, got a link; copy the bundle with what its links "
            f"name, as `cp -rL` does"
        )
    handle = os.open(path, _FLAGS)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(
                f"{path}: expected a regular file, got a folder, a pipe or a device; copy the "
                f"bundle again"
            )
        size = status.st_size
        if expected is not None and size != expected:
            raise BundleError(
                f"{path}: expected {expected} bytes, got {size}; copy the bundle again"
            )
        if expected is None and size > _MOST_MANIFEST_BYTES:
            raise BundleError(
                f"{path}: expected at most {_MOST_MANIFEST_BYTES} bytes, got {size}; export the "
                f"bundle again"
            )
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(size)
    finally:
        os.close(handle)
