"""Explain why a provider cannot be used, and what to do about it.

The reason that onnxruntime gives decides on the advice. A missing library is answered with the
command that installs it; a missing device, or a graph that a provider cannot run, is not.
"""

import re

from edgevae.engine import cuda, plugins
from edgevae.engine.providers import Choice, Request, install, names
from edgevae.errors import ProviderError

# The words with which the loaders of Linux, macOS and Windows report a missing library.
_MISSING_LIBRARY = re.compile(
    r"cannot open shared object|failed to load library|image not found|LoadLibrary|error 126", re.I
)
# The words with which providers report that they found no device to run on.
_NO_DEVICE = re.compile(
    r"no supported adapters|no CUDA-capable device|driver version is insufficient|"
    r"no available devices|failed to find .* device",
    re.I,
)
# A status such as "[ONNXRuntimeError] : 11 : EP_FAIL : ", and the place in onnxruntime's sources.
_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE = re.compile(r"\S*/onnxruntime/\S+\.cc:\d+ .*?(?=Failed |Error )")

_OTHER = "use another provider, such as provider='cpu'"
_ADVICE = {  # on a provider that finds no device
    "cuda": "install NVIDIA's driver, and check it with `nvidia-smi`",
    "openvino": (
        "it runs on Intel's hardware only; on other x86-64 processors, `pip uninstall -y "
        "onnxruntime onnxruntime-ep-openvino && pip install onnxruntime-openvino`"
    ),
    "webgpu": (
        "install the GPU's driver, on Linux its Vulkan driver and libvulkan1. Without a GPU, set "
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 and VK_ICD_FILENAMES to the path of SwiftShader's "
        "vk_swiftshader_icd.json, which Debian's package chromium has in /usr/lib/chromium"
    ),
}


def refusal(provider: str, reason: str, fix: str) -> ProviderError:
    """Return the error for a provider that is listed but cannot be used."""
    return ProviderError(f"provider {provider!r} is not available: {reason}; {fix}")


def missing(request: Request, libraries: tuple[str, ...]) -> ProviderError:
    """Return the error for CUDA or TensorRT, whose shared libraries cannot be loaded."""
    return refusal(request.name, f"{', '.join(libraries)} cannot be loaded", cuda.fix(libraries))


def no_device(provider: str, kind: str | None) -> ProviderError:
    """Return the error for a plugin that lists no device, or none of this kind, on this machine."""
    return refusal(
        provider,
        f"its plugin is installed, but supports no {kind or 'device'} of this machine "
        f"({plugins.devices_in_words()})",
        _ADVICE.get(provider, _OTHER),
    )


def failed(choice: Choice, error: Exception) -> ProviderError:
    """Return the error for providers with which onnxruntime could not open a graph."""
    text = _SOURCE.sub("", _STATUS.sub("", " ".join(str(error).split())))
    first = choice[0].name
    if _NO_DEVICE.search(text):
        return refusal(names(choice), f"it finds no device: {text}", _ADVICE.get(first, _OTHER))
    if _MISSING_LIBRARY.search(text):
        return refusal(names(choice), text, f"one of its libraries is missing ({install(choice)})")
    return refusal(
        names(choice), f"it cannot run this graph: {text}", f"{_OTHER}, or another precision"
    )


def replaced(request: Request, got: list[str]) -> ProviderError:
    """Return the error for a session that has these providers, but not the requested one."""
    return refusal(
        request.name,
        f"onnxruntime uses {', '.join(got)} instead",
        f"most often one of its libraries is missing ({install((request,))})",
    )


def idle(provider: str, taken: dict[str, int]) -> ProviderError:
    """Return the error for a provider that took none of a graph's nodes.

    `taken` has the number of nodes by provider.
    """
    return refusal(
        provider,
        f"it took none of the {sum(taken.values())} nodes of the graph, which went to "
        f"{', '.join(taken)}",
        "name it before them, or leave it out",
    )
