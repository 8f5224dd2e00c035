"""CUDA's libraries that onnxruntime does not find are named, and not printed."""

import ctypes
import sys

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
