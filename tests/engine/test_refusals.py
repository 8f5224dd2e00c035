"""A refusal names the true cause, and advises what removes that cause."""

import pytest

from edgevae.engine import refusals
from edgevae.engine.providers import Request

ADAPTER = (
    "[ONNXRuntimeError] : 11 : EP_FAIL : /onnxruntime_src/onnxruntime/core/providers/webgpu/"
    "webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::"
    "webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::Success was false. "
    "Failed to get a WebGPU adapter: No supported adapters"
)
LIBRARY = (
    "[ONNXRuntimeError] : 1 : FAIL : Failed to load library libonnxruntime_providers_cuda.so with "
    "error: libcublasLt.so.13: cannot open shared object file: No such file or directory"
)
RESHAPE = (
    "[ONNXRuntimeError] : 11 : EP_FAIL : Exception from src/inference/src/cpp/core.cpp:117:\n"
    "Requested output shape [1,784,1] is incompatible with input shape"
)


def refused(provider: str, text: str) -> str:
    return str(refusals.failed((Request(provider, {}),), RuntimeError(text)))


def test_a_missing_adapter_is_not_a_missing_package():
    says = refused("webgpu", ADAPTER)
    assert "it finds no device: Failed to get a WebGPU adapter: No supported adapters" in says
    assert "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1" in says
    assert "vk_swiftshader_icd.json" in says
    assert "pip install" not in says


def test_a_missing_library_is_installed():
    says = refused("cuda", LIBRARY)
    assert "libcublasLt.so.13: cannot open shared object" in says
    assert "one of its libraries is missing (pip uninstall -y onnxruntime && " in says


def test_a_graph_that_a_provider_cannot_run_is_not_a_missing_library():
    says = refused("openvino", RESHAPE)
    assert "it cannot run this graph: Exception from" in says
    assert "Requested output shape [1,784,1] is incompatible" in says
    assert says.endswith("use another provider, such as provider='cpu', or another precision")


@pytest.mark.parametrize(
    ("provider", "advice"),
    [
        ("cuda", "nvidia-smi"),
        ("openvino", "pip install onnxruntime-openvino"),
        ("webgpu", "libvulkan1"),
        ("qnn", "use another provider"),
    ],
)
def test_a_plugin_without_a_device_is_installed_already(provider, advice):
    says = str(refusals.no_device(provider, "GPU"))
    assert "its plugin is installed, but supports no GPU of this machine (CPU" in says
    assert advice in says
    assert f"pip install onnxruntime-ep-{provider}" not in says
