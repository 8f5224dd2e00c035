"""onnxruntime is imported without telemetry, and a broken installation is explained."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest

from edgevae.engine import ort, providers
from edgevae.errors import ProviderError


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("module", "call"), [("engine.providers", "available"), ("diagnostics.bench", "machine")]
)
def test_telemetry_is_off_and_leaves_no_file(tmp_path, module, call):
    code = f"from edgevae.{module} import {call}; {call}()"
    run_python(code, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert list(tmp_path.rglob("*")) == []


def test_onnxruntime_that_cannot_be_imported_is_explained():
    code = """
import sys
sys.modules["onnxruntime"] = None
import edgevae
from edgevae.engine import providers
try:
    providers.available()
except edgevae.ProviderError as error:
    print(error)
"""
    out = run_python(code)
    assert out.startswith("onnxruntime cannot be imported: ")
    assert "; pip install" in out


def test_the_remains_of_a_removed_onnxruntime_are_explained(tmp_path):
    (tmp_path / "onnxruntime").mkdir()
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import edgevae
from edgevae.engine import onnxruntime
try:
    onnxruntime()
except edgevae.ProviderError as error:
    print(error)
"""
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    out = run_python(f"import sys; sys.argv = ['', {str(tmp_path)!r}]\n{code}")
    assert "is incomplete, since another distribution of it was removed, in" in out
    assert "; pip install --force-reinstall --no-deps onnxruntime" in out


@pytest.fixture
def installed(monkeypatch):
    """Makes Python know of these distributions, each with its files."""

    def make(**files: list[str]) -> None:
        found = [
            SimpleNamespace(
                metadata={"Name": name}, version="1.2", files=[PurePosixPath(f) for f in paths]
            )
            for name, paths in files.items()
        ]
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)

    return make


OWN = ["onnxruntime/__init__.py", "onnxruntime/capi/x.so"]


def test_one_distribution_is_no_clash(installed):
    installed(onnxruntime=OWN, onnxruntime_ep_openvino=["onnxruntime_ep_openvino/__init__.py"])
    assert ort.distributions() == {"onnxruntime": "1.2"}
    assert ort.clash() is None


def test_two_that_share_a_folder_clash(installed):
    installed(onnxruntime=OWN, numpy=["numpy/__init__.py"], onnxruntime_gpu=OWN)
    assert ort.clash() == (
        "onnxruntime 1.2 and onnxruntime-gpu 1.2 are installed and overwrite each other's files: "
        "keep one, by `pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu`"
    )


def test_a_provider_that_a_clash_took_away_is_refused_with_it(installed):
    installed(onnxruntime=OWN, onnxruntime_gpu=OWN)
    with pytest.raises(ProviderError, match="overwrite each other's files: keep one, by"):
        providers.candidates("tensorrt")
