"""CUDA's shared libraries: loaded from their packages, and named where they are missing."""

import contextlib
import ctypes
import functools
import io
import re
from pathlib import Path

from edgevae.runtime import runtime

PROVIDERS = ("cuda", "tensorrt")


@functools.cache
def preload() -> tuple[str, ...]:
    """Loads the libraries that pip installs, where no loader looks; returns those not found."""
    ort = runtime()
    if not hasattr(ort, "preload_dlls"):  # before 1.21
        return ()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ort.preload_dlls()
    return tuple(re.findall(r"Failed to load (?:.*/)?([^/\s]+?): ", said.getvalue()))


def missing(provider: str) -> list[str]:
    """The libraries without which a provider, "cuda" or "tensorrt", cannot be loaded here.

    Of those that onnxruntime cannot load by itself only the first is known.
    """
    lacking = [*preload()]
    capi = Path(runtime().__file__).parent / "capi"
    for library in capi.glob(f"libonnxruntime_providers_{provider}.so"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            lacking.append(str(error).partition(":")[0])
    return [*dict.fromkeys(lacking)]
