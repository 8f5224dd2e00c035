"""CUDA's shared libraries: loaded from their packages, and named where they are missing."""

import contextlib
import ctypes
import functools
import io
import re
import sys

from edgevae.engine.ort import onnxruntime

PROVIDERS = ("cuda", "tensorrt")


@functools.cache
def missing() -> tuple[str, ...]:
    """The libraries without which onnxruntime cannot run CUDA here; those found are loaded.

    pip installs them where no loader looks: unless they are loaded first, onnxruntime does not
    find them. onnxruntime's own library is not tried, which breaks when anyone else loads it.
    """
    ort = onnxruntime()
    lacking = []
    if hasattr(ort, "preload_dlls"):  # from 1.21 on
        with contextlib.redirect_stdout(io.StringIO()) as said:
            ort.preload_dlls()
        lacking = re.findall(r"Failed to load (?:.*[/\\])?([^/\\\s]+): ", said.getvalue())
    if sys.platform == "linux" and not _loads("libcuda.so.1"):
        lacking.append("libcuda.so.1 (NVIDIA's driver)")
    return tuple(dict.fromkeys(lacking))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
