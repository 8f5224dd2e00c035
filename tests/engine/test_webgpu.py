"""The shipped bundles verify on WebGPU: on a GPU or, without one, on SwiftShader.

SwiftShader computes on the CPU what a GPU would. It is part of Debian's package chromium, and is
used where the plugin onnxruntime-ep-webgpu and Vulkan's loader, libvulkan1, are installed too.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")

# In processes of their own: a driver may print, and may end its process.
_COUNT = """
import edgevae, sys
vae = edgevae.load(sys.argv[1], "webgpu")
for role, placement in vae.providers.items():
    print(role, *(f"{name}={count}" for name, count in (placement.nodes or {}).items()))
"""

# Six threads decode batches of two sizes; both runs of a size after the first are captured.
_CAPTURE = """
import sys
from concurrent.futures import ThreadPoolExecutor

import edgevae
import numpy as np

cpu = edgevae.load(sys.argv[1], "cpu")
vae = edgevae.load(sys.argv[1], providers=[("webgpu", {"enableGraphCapture": "1"})])
print(vae.providers["decoder"].why)


def error(seed):
    z = np.random.default_rng(seed).standard_normal((2 + seed % 2, *cpu.bundle.latent_shape))
    z = z.astype(np.float32)
    return np.abs(vae.decode(z) - cpu.decode(z)).max()


print("error", max(map(error, range(8))))
with ThreadPoolExecutor(6) as pool:
    print("error", max(pool.map(error, range(24))))
x = np.random.default_rng(0).random((5, *cpu.bundle.x_shape), np.float32)
for _ in range(3):
    print("error", np.abs(vae.encode(x).mu - cpu.encode(x).mu).max())
for graph in ("encoder", "decoder"):
    (opened,) = vae.graph(graph)._sessions.values()
    print("graphs", 16 - opened.bindings._graphs)
"""


@pytest.fixture(scope="module", params=["fashion", "names"])
def bundle(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def run():
    """Run Python with the environment in which WebGPU finds an adapter; skip if it finds none."""
    if importlib.util.find_spec("onnxruntime_ep_webgpu") is None:
        pytest.skip("onnxruntime-ep-webgpu is not installed: pip install -e '.[webgpu]'")
    software = {}
    if _SWIFTSHADER.exists():
        software = {
            "VK_ICD_FILENAMES": str(_SWIFTSHADER),
            "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
        }

    def python(*args: str) -> "subprocess.CompletedProcess[str]":
        environment = {**software, **os.environ}
        return subprocess.run(
            [sys.executable, *args], env=environment, capture_output=True, text=True, check=False
        )

    done = python("-c", "import edgevae; edgevae.load('fashion', 'webgpu').providers")
    if "finds no device" in done.stderr or "supports no device" in done.stderr:
        lines = done.stderr.strip().splitlines()
        pytest.skip(f"no GPU, and no SwiftShader at {_SWIFTSHADER}: {lines[-1]}")
    return python


def test_a_bundle_verifies(run, bundle):
    done = run("-m", "edgevae", "verify", bundle, "--provider", "webgpu")
    assert done.returncode == 0, done.stderr
    used = [line for line in done.stdout.splitlines() if "float32 on webgpu, in use" in line]
    assert len(used) == 2  # the encoder and the decoder
    assert all(line.endswith(": ok") for line in used)


def test_all_nodes_run_on_webgpu(run, bundle):
    done = run("-c", _COUNT, bundle)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert set(counts) == {"encoder", "decoder"}
    for placed in counts.values():
        provider, _, nodes = placed.partition("=")
        assert provider == "webgpu"
        assert int(nodes) >= 8  # the smaller bundle's decoder has 3 Gemms and 5 other nodes


def test_captured_graphs_give_what_the_cpu_gives(run):
    done = run("-c", _CAPTURE, "names")  # the smaller bundle, which SwiftShader runs in time
    assert done.returncode == 0, done.stderr
    why, *lines = done.stdout.splitlines()
    assert why.endswith("its inputs are kept on the device and its runs are captured as graphs")
    errors = [float(line.removeprefix("error ")) for line in lines if line.startswith("error")]
    assert len(errors) == 5
    assert max(errors) < 1e-4
    encoder, decoder = (int(line.split()[1]) for line in lines if line.startswith("graphs"))
    assert encoder == 1
    assert decoder >= 2
