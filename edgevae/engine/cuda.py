"""Load CUDA's shared libraries, name the missing ones, and allocate page-locked memory."""

import contextlib
import ctypes
import functools
import io
import math
import re
import sys
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.engine.ort import onnxruntime

PROVIDERS = ("cuda", "tensorrt")

_DRIVER = "libcuda.so.1 (NVIDIA's driver)"
# CUDA's runtime on Linux and Windows, the newest first.
_RUNTIMES = tuple(
    name.format(version) for version in (13, 12) for name in ("libcudart.so.{}", "cudart64_{}.dll")
)


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


def page_locked(
    shape: tuple[int, ...], dtype: npt.DTypeLike, device_id: int = 0
) -> npt.NDArray[Any]:
    """Return an array in page-locked memory of the host, which a device reads and writes directly.

    It is freed with the last array that uses it. Raises `MemoryError` if CUDA's runtime is not
    found, or does not allocate.
    """
    runtime, pointer = _runtime(), ctypes.c_void_p()
    size = max(1, math.prod(shape)) * np.dtype(dtype).itemsize
    error = runtime.cudaSetDevice(ctypes.c_int(device_id)) or runtime.cudaMallocHost(
        ctypes.byref(pointer), ctypes.c_size_t(size)
    )
    if error or pointer.value is None:
        raise MemoryError(f"CUDA allocates no {size:,} bytes of page-locked memory: error {error}")
    buffer = (ctypes.c_byte * size).from_address(pointer.value)
    # Not at exit: threads may still use the memory then, which ends with the process.
    weakref.finalize(buffer, runtime.cudaFreeHost, pointer).atexit = False
    return np.frombuffer(memoryview(buffer), dtype, math.prod(shape)).reshape(shape)


@functools.cache
def _runtime() -> Any:
    """Return CUDA's runtime, which onnxruntime has loaded before."""
    for name in _RUNTIMES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise MemoryError(f"page-locked memory needs CUDA's runtime, {' or '.join(_RUNTIMES)}")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
