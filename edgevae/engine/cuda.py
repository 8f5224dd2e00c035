"""Load CUDA's shared libraries from their Python packages, and name the missing ones."""

import contextlib
import ctypes
import functools
import io
import re
import sys

from edgevae.engine.ort import onnxruntime

PROVIDERS = ("cuda", "tensorrt")

_DRIVER = "libcuda.so.1 (NVIDIA's driver)"


@functools.cache
def missing() -> tuple[str, ...]:
    """Load the libraries that onnxruntime needs for CUDA; return the names of the missing ones.

    pip installs them in folders that the system's loader does not search, so onnxruntime finds
    them only if they are loaded first. onnxruntime's own library is left to onnxruntime, since it
    breaks if anything else loads it.
    """
    ort = onnxruntime()
    libraries = []
    if hasattr(ort, "preload_dlls"):  # from 1.21 on
        with contextlib.redirect_stdout(io.StringIO()) as output:
            ort.preload_dlls()
        libraries = re.findall(r"Failed to load (?:.*[/\\])?([^/\\\s]+): ", output.getvalue())
    if sys.platform == "linux" and not _loads("libcuda.so.1"):
        libraries.append(_DRIVER)
    return tuple(dict.fromkeys(libraries))


def fix(libraries: tuple[str, ...]) -> str:
    """Return what to do about missing libraries, which `missing` names."""
    driver = "install NVIDIA's driver, and check it with `nvidia-smi`"
    if libraries == (_DRIVER,):
        return driver
    packages = "pip install 'onnxruntime-gpu[cuda,cudnn]', for CUDA 13"
    return f"{packages}, and {driver}" if _DRIVER in libraries else packages


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
