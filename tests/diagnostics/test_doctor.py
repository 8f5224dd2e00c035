"""The doctor finds the problems of a machine, survives them, and states what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae import bundle
from edgevae.diagnostics import doctor, numpy_import
from edgevae.engine import cuda, machine, ort, plugins, providers


@pytest.fixture
def examined(monkeypatch):
    """Examine a machine with these providers, by one bundle; return its findings by topic."""

    def examine(*names: str) -> dict[str, doctor.Finding]:
        monkeypatch.setattr(providers, "available", lambda: list(names))
        return {finding.topic: finding for finding in doctor.examine()}

    monkeypatch.setattr(bundle, "names", lambda: ["fashion"])
    monkeypatch.setattr(plugins, "installed", dict)
    monkeypatch.setattr(ort, "clash", lambda: None)
    monkeypatch.delenv("EDGEVAE_KERNEL", raising=False)
    return examine


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Put an onnxruntime of this source before the installed one, for new processes."""

    def replace_onnxruntime(source: str) -> None:
        (tmp_path / "onnxruntime.py").write_text(source)
        before = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), before]))

    return replace_onnxruntime


def test_a_machine_without_problems(examined):
    findings = examined("cpu")
    assert {finding.level for finding in findings.values()} <= {doctor.OK, doctor.NOTE}
    assert findings["fashion on cpu"][:3] == (doctor.OK, "fashion on cpu", "verifies")
    assert findings["threads"].says == f"{machine.usable_threads()}: {machine.why_threads()}"
    assert findings["onnxruntime"].says == ort.onnxruntime().__version__


def test_an_illegal_instruction_is_explained_and_survived(examined, broken):
    broken("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    findings = examined()
    assert findings["onnxruntime"].level == doctor.PROBLEM
    assert "ended by an illegal instruction" in findings["onnxruntime"].says
    assert "pip install 'onnxruntime<" in findings["onnxruntime"].fix
    assert not any(topic.startswith("fashion") for topic in findings)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise ImportError('libfoo.so.1: no such file')", "cannot be imported: libfoo.so.1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("__path__ = ['/somewhere']", "since another distribution of it was removed"),
    ],
)
def test_an_onnxruntime_that_cannot_be_imported_is_explained(examined, broken, source, says):
    broken(source)
    finding = examined()["onnxruntime"]
    assert finding.level == doctor.PROBLEM
    assert says in finding.says


def test_two_distributions_are_a_problem(examined, monkeypatch):
    monkeypatch.setattr(ort, "clash", lambda: "a 1 and b 2 are both: keep one, by `pip`")
    finding = examined()["distributions"]
    assert finding == (
        doctor.PROBLEM,
        "distributions",
        "a 1 and b 2 are both",
        "keep one, by `pip`",
    )
    assert str(finding).splitlines()[1].strip() == "-> keep one, by `pip`"


def test_providers_of_auto_must_work_and_others_of_the_wheel_need_not(examined, monkeypatch):
    monkeypatch.setattr(cuda, "missing", lambda: ("libcublas.so.13",))
    findings = examined("cpu", "cuda", "tensorrt")
    assert findings["cuda"].level == doctor.PROBLEM
    assert "libcublas.so.13" in findings["cuda"].says
    # This onnxruntime has neither: both are refused in their own processes.
    assert findings["fashion on cuda"].level == doctor.PROBLEM
    assert "onnxruntime-gpu[cuda,cudnn]" in findings["fashion on cuda"].fix
    assert findings["fashion on tensorrt"].level == doctor.NOTE
    assert findings["fashion on cpu"].level == doctor.OK


def test_a_plugin_that_does_not_load_is_a_problem(examined, monkeypatch):
    monkeypatch.setattr(plugins, "installed", lambda: {"imaginary": "onnxruntime_ep_imaginary"})
    finding = examined()["plugin imaginary"]
    assert finding.level == doctor.PROBLEM
    assert "No module named 'onnxruntime_ep_imaginary'" in finding.says


def test_each_precision_of_a_bundle_is_verified_on_each_provider(examined):
    findings = examined("cpu", "openvino")
    topics = [topic for topic in findings if topic.startswith("fashion")]
    assert topics == [
        "fashion on cpu",
        "fashion on cpu in int8",
        "fashion on openvino",
        "fashion on openvino in int8",
    ]
    assert findings["fashion on cpu in int8"].says == "verifies"


@pytest.mark.parametrize(
    ("provider", "precision", "returncode", "level"),
    [
        ("cpu", "int8", 5, doctor.PROBLEM),
        ("openvino", "float32", 5, doctor.PROBLEM),
        ("openvino", "int8", 5, doctor.NOTE),  # the plugin may refuse it, with the reason
        ("openvino", "int8", 6, doctor.PROBLEM),  # but not compute it wrongly
        ("tensorrt", "float32", 5, doctor.NOTE),  # of a wheel for more hardware than this
    ],
)
def test_a_refusal_is_a_problem_if_the_provider_should_work(
    monkeypatch, provider, precision, returncode, level
):
    done = subprocess.CompletedProcess([], returncode, "", "edgevae: no such thing; get one\n")
    monkeypatch.setattr(doctor, "run_python", lambda *arguments: done)
    monkeypatch.setattr(plugins, "installed", lambda: {"openvino": "onnxruntime_ep_openvino"})
    finding = doctor._verified("fashion", provider, precision)
    assert (finding.level, finding.says, finding.fix) == (level, "no such thing", "get one")


def test_a_numpy_that_the_processor_cannot_run_is_explained(tmp_path):
    (tmp_path / "numpy.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    root = Path(edgevae.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "edgevae", "doctor", "--json"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    (finding,) = json.loads(done.stdout)  # nothing else can be examined
    assert (finding["level"], finding["topic"]) == (doctor.PROBLEM, "numpy")
    assert "needs a processor with SSE4.2" in finding["says"]
    assert "pip install 'numpy<2.4'" in finding["fix"]


def test_a_numpy_that_imports_is_named():
    assert numpy_import.examine() == (doctor.OK, "numpy", np.__version__, "")


def test_a_forced_kernel_is_noted(examined, monkeypatch):
    monkeypatch.setenv("EDGEVAE_KERNEL", "scalar")
    assert doctor._kernel().level == doctor.NOTE
