"""Providers: used or refused, never replaced; threads: those that this process may use."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgevae import providers
from edgevae.errors import BundleError, InputError, ProviderError


@pytest.fixture
def decoder(tinies, tiny_paths):
    """Makes the grey decoder's graph, on these providers and with these shapes."""

    def make(names=("cpu",), inputs=None, outputs=None, path=tiny_paths["grey"] / "decoder.onnx"):
        inputs, outputs = inputs or {"z": (4,)}, outputs or {"x_hat": (1, 8, 8)}
        return providers.Graph(path, names, inputs=inputs, outputs=outputs)

    return make


@pytest.fixture
def pretend(monkeypatch):
    """Makes onnxruntime say that it was built with these providers."""

    def make(*ort_names):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(ort_names))

    return make


def test_auto_tries_an_accelerator_and_then_the_cpu(pretend):
    pretend("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers.candidates("auto") == ("cuda", "cpu")
    pretend("AzureExecutionProvider", "CPUExecutionProvider")
    assert providers.candidates("auto") == ("cpu",)
    assert providers.available() == ["cpu"]  # the other one runs nothing here


def test_short_and_full_names_are_the_same(pretend):
    pretend("CUDAExecutionProvider", "NovelExecutionProvider", "CPUExecutionProvider")
    assert providers.available() == ["cuda", "NovelExecutionProvider", "cpu"]
    assert providers.candidates("cuda") == ("cuda",)
    assert providers.candidates("CUDAExecutionProvider") == ("cuda",)
    assert providers.candidates("NovelExecutionProvider") == ("NovelExecutionProvider",)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("cuda", "onnxruntime-gpu"),
        ("CUDAExecutionProvider", "onnxruntime-gpu"),
        ("tensorrt", "tensorrt"),
        ("openvino", "onnxruntime-openvino"),
        ("directml", "onnxruntime-directml"),
        ("coreml", "macOS"),
        ("webgpu", "--use_webgpu"),
    ],
)
def test_a_provider_that_is_not_there_is_refused_with_its_package(pretend, name, package):
    pretend("CPUExecutionProvider")
    with pytest.raises(ProviderError, match=rf"has only cpu; install it \(.*{package}"):
        providers.candidates(name)


def test_a_name_that_nobody_knows_is_refused(pretend):
    pretend("CPUExecutionProvider")
    with pytest.raises(ProviderError, match=r"expected one of auto, cpu, cuda.*got 'gpu'"):
        providers.candidates("gpu")
    with pytest.raises(InputError, match="expected a name such as 'cpu', got None"):
        providers.candidates(None)


def test_a_provider_that_was_replaced_is_refused(decoder):
    # This is what a lack of CUDA's libraries looks like: onnxruntime takes the CPU and goes on.
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(ProviderError, match=r"'migraphx' was asked for and cannot be had.*put cpu"),
    ):
        decoder(("migraphx",)).open(1)


def test_a_provider_that_fails_to_open_is_refused(decoder, monkeypatch, capfd):
    def fail(*args, **kwargs):
        raise RuntimeError("libcublas.so.12: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ProviderError, match=r"libcublas\.so\.12.*onnxruntime-gpu\[cuda,cudnn\]"):
        decoder(("cuda",)).open(1)
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_auto_falls_back_and_says_so(decoder):
    graph = decoder(("cuda", "cpu"))
    assert graph.open(1) == "cpu"


@pytest.mark.parametrize("rows", [1, 5, 300])  # few are copied, many are written in place
def test_a_graph_fills_the_callers_arrays(tinies, decoder, rows):
    z = np.random.default_rng(0).standard_normal((rows, 4)).astype(np.float32)
    x_hat = np.full((rows + 2, 1, 8, 8), 9, np.float32)
    decoder().run({"z": z}, {"x_hat": x_hat[1:-1]}, threads=1)
    np.testing.assert_allclose(x_hat[1:-1], tinies["grey"].decode(z), atol=2e-6)
    assert (x_hat[[0, -1]] == 9).all()


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_a_run_that_fails_is_an_error_of_the_provider(decoder, rows):
    z, x_hat = np.zeros((rows, 4), np.float32), np.zeros((4, 1, 8, 8), np.float32)
    with pytest.raises(ProviderError, match=r"decoder\.onnx: provider 'cpu' failed to run"):
        decoder().run({"z": z}, {"x_hat": x_hat}, threads=1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": {"eps": (4,)}}, "expected input eps, got z"),
        ({"inputs": {"z": (5,)}}, r"input z to be float32 of shape \(any, 5\), got"),
        ({"outputs": {"mu": (1, 8, 8)}}, "expected output mu, got x_hat"),
        ({"outputs": {"x_hat": (1, 8)}}, r"output x_hat to be float32 of shape \(any, 1, 8\)"),
    ],
)
def test_a_graph_of_other_ports_is_refused_when_opened(decoder, changes, says):
    with pytest.raises(BundleError, match=says):
        decoder(**changes).open(1)


def test_a_file_that_is_no_graph_is_refused(decoder, tmp_path):
    (tmp_path / "decoder.onnx").write_bytes(b"not an onnx file")
    with pytest.raises(BundleError, match=r"decoder\.onnx: onnxruntime .* cannot open"):
        decoder(path=tmp_path / "decoder.onnx").open(1)


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


# --- threads ---------------------------------------------------------------------------------


@pytest.fixture
def cgroup(tmp_path):
    """Lays out /proc/self/cgroup and files under /sys/fs/cgroup; returns the quotas found."""

    def make(membership: str, files: dict[str, str]) -> list[float]:
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            file = tmp_path / "root" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content + "\n")
        return list(providers._quotas(tmp_path / "membership", tmp_path / "root"))

    return make


V1 = "4:memory:/app\n3:cpu,cpuacct:/app/web\n1:name=systemd:/app\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "quotas"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000"}, [1.5], id="v2, in a container"),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"},
            [2.0],
            id="v2, limited by the parent",
        ),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "50000 100000", "a/cpu.max": "300000 100000"},
            [0.5, 3.0],
            id="v2, limited twice",
        ),
        pytest.param(
            "0::/../host\n", {"cpu.max": "400000 100000"}, [4.0], id="v2, host path not mounted"
        ),
        pytest.param(
            V1,
            {"cpu/app/web/cpu.cfs_quota_us": "250000", "cpu/app/web/cpu.cfs_period_us": "100000"},
            [2.5],
            id="v1",
        ),
        pytest.param(
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
            [2.0],
            id="v1, host path not mounted",
        ),
        pytest.param(
            V1,
            {"cpu/app/web/cpu.cfs_quota_us": "-1", "cpu/app/web/cpu.cfs_period_us": "100000"},
            [],
            id="v1, no limit",
        ),
        pytest.param("0::/\n", {}, [], id="nothing mounted"),
    ],
)
def test_quotas(cgroup, membership, files, quotas):
    assert cgroup(membership, files) == quotas


def test_no_cgroups_at_all(tmp_path):
    assert list(providers._quotas(tmp_path / "none", tmp_path)) == []


@pytest.mark.parametrize(("quotas", "threads"), [([], 3), ([2.9], 2), ([0.2], 1), ([8.0], 3)])
def test_threads_are_the_least_of_affinity_and_quota(monkeypatch, quotas, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(providers, "_quotas", lambda *paths: iter(quotas))
    assert providers.usable_threads() == threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_threads_follow_the_affinity():
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, [{one}]);"
        "from edgevae import providers; print(providers.usable_threads())"
    )
    assert run_python(code, PYTHONPATH=str(Path(providers.__file__).parents[1])) == "1\n"
