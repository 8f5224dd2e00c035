"""onnxruntime: imported once, without telemetry, and explained where it is broken."""

import os
import subprocess
import sys

import pytest


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


@pytest.mark.parametrize(("module", "call"), [("providers", "available"), ("bench", "machine")])
def test_telemetry_is_off_and_leaves_no_file(tmp_path, module, call):
    code = f"from edgevae import {module}; {module}.{call}()"
    run_python(code, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert list(tmp_path.rglob("*")) == []


def test_onnxruntime_that_cannot_be_imported_is_explained():
    code = """
import sys
sys.modules["onnxruntime"] = None
import edgevae
from edgevae import providers
try:
    providers.available()
except edgevae.ProviderError as error:
    print(error)
"""
    out = run_python(code)
    assert out.startswith("onnxruntime cannot be imported: ")
    assert out.endswith("pip install onnxruntime\n")
