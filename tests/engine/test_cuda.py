"""CUDA's libraries that onnxruntime does not find are named, and not printed."""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from edgevae.engine import cuda

SAID = """Failed to load /venv/nvidia/cu13/lib/libcublasLt.so.13: file too short
Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file
Failed to load libcurand.so.10: libcurand.so.10: cannot open shared object file
Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA.
"""


@pytest.fixture
def preload(monkeypatch):
    """Let onnxruntime print this when it loads CUDA's libraries; NVIDIA's driver is found."""

    def make(said: str) -> None:
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(said, end=""), raising=False)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    cuda.missing.cache_clear()
    yield make
    cuda.missing.cache_clear()


def test_a_missing_library_is_named_once(preload, capsys):
    preload(SAID)
    assert cuda.missing() == ("libcublasLt.so.13", "libcurand.so.10")
    assert capsys.readouterr().out == ""


def test_nothing_is_missing_if_all_libraries_load(preload):
    preload("")
    assert cuda.missing() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="it has another name elsewhere")
def test_the_driver_is_asked_for_too(preload, monkeypatch):
    def fail(name):
        raise OSError(name)

    preload("")
    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert cuda.missing() == ("libcuda.so.1 (NVIDIA's driver)",)


@pytest.fixture
def runtime(monkeypatch):
    """Allocate with the C library instead of CUDA's runtime; return what notes its calls."""
    calls = []
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p

    def set_device(device):
        calls.append(("device", device.value))
        return 0

    def allocate(pointer, size):
        calls.append(("malloc", size.value))
        pointer._obj.value = libc.malloc(size)
        return 0

    def free(pointer):
        calls.append(("free", pointer.value))
        libc.free(pointer)
        return 0

    found = SimpleNamespace(
        cudaSetDevice=set_device, cudaMallocHost=allocate, cudaFreeHost=free, calls=calls
    )
    monkeypatch.setattr(cuda, "_runtime", lambda: found)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="its C library has no handle None")
def test_page_locked_memory_lives_as_long_as_its_arrays(runtime):
    array = cuda.page_locked((3, 2, 2), np.float32, 1)
    assert runtime.calls == [("device", 1), ("malloc", 48)]
    array[...] = np.arange(12).reshape(3, 2, 2)
    view, address = array[1:], array.ctypes.data
    del array
    assert (view.ravel() == np.arange(4, 12)).all()
    del view
    assert runtime.calls[2:] == [("free", address)]


def test_a_failed_allocation_is_a_memory_error(runtime, monkeypatch):
    monkeypatch.setattr(runtime, "cudaMallocHost", lambda pointer, size: 2)
    with pytest.raises(MemoryError, match="no 40 bytes of page-locked memory: error 2"):
        cuda.page_locked((10,), np.float32)


def test_page_locked_memory_needs_cuda(monkeypatch):
    def fail(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", fail)
    with pytest.raises(MemoryError, match=r"libcudart\.so\.13 or cudart64_13\.dll"):
        cuda._runtime()
