"""Providers are chosen, are named in every form, and get options that keep their precision."""

import json

import onnxruntime
import pytest

from edgevae.engine import plugins, providers
from edgevae.engine.providers import Request
from edgevae.errors import InputError, ProviderError


@pytest.fixture
def pretend(monkeypatch):
    """Let onnxruntime list these providers as built in."""

    def make(*ort_names):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(ort_names))

    return make


def test_auto_tries_an_accelerator_and_then_the_cpu(pretend):
    pretend("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers.candidates("auto") == ("cuda", "cpu")
    pretend("AzureExecutionProvider", "CPUExecutionProvider")
    assert providers.candidates("auto") == ("cpu",)
    assert providers.available() == ["cpu"]  # the other one runs nothing here


def test_auto_tries_an_accelerator_that_a_plugin_adds(pretend, monkeypatch):
    pretend("CPUExecutionProvider")
    monkeypatch.setattr(plugins, "installed", lambda: {"cuda": "onnxruntime_ep_cuda"})
    assert providers.candidates("auto") == ("cuda", "cpu")
    assert providers.prefer("auto", None, "float32").why == "auto tries cuda, then cpu"
    assert providers.available() == ["cpu", "cuda"]
    # Its plugin names the provider otherwise than onnxruntime does the one built in.
    for name in ("CudaPluginExecutionProvider", "CUDAExecutionProvider"):
        assert providers.candidates(name) == ("cuda",)


def test_auto_tries_an_accelerator_that_onnxruntime_registered_itself(pretend, monkeypatch):
    pretend("CPUExecutionProvider")
    monkeypatch.setattr(
        plugins, "registered", lambda: {"CPUExecutionProvider", "CUDAExecutionProvider"}
    )
    assert providers.candidates("auto") == ("cuda", "cpu")
    assert providers.candidates("cuda") == ("cuda",)


def test_graphs_are_captured_if_the_provider_is_asked_to(pretend):
    pretend("CUDAExecutionProvider", "CPUExecutionProvider")
    asked = {"enable_cuda_graph": 1}, {"enable_cuda_graph": True}, {"enable_cuda_graph": "0"}, {}
    captured = [
        providers.captures_graphs(
            providers.prefer("auto", [("cuda", options)], "float32").choices[0]
        )
        for options in asked
    ]
    assert captured == [True, True, False, False]


def test_the_kind_of_device_is_the_providers_or_the_callers(pretend):
    pretend("OpenVINOExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    openvino = providers.prefer("openvino", None, "float32")
    assert openvino.device_type("openvino") == "CPU"
    auto = providers.prefer("auto", None, "float32")
    assert (auto.device_type("cuda"), auto.device_type("cpu")) == ("GPU", "CPU")
    asked = [("openvino", {"device_type": "GPU"}), "cpu"]
    on_gpu = providers.prefer("auto", asked, "float32")
    assert on_gpu.device_type("openvino, cpu") == "GPU"


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
        ("openvino", "pip install onnxruntime-ep-openvino"),
        ("directml", "onnxruntime-directml"),
        ("coreml", "macOS"),
        ("webgpu", "onnxruntime-ep-webgpu"),
    ],
)
def test_a_provider_that_is_not_there_is_refused_with_its_package(pretend, name, package):
    pretend("CPUExecutionProvider")
    with pytest.raises(ProviderError, match=rf"has only cpu; install it \(.*{package}"):
        providers.candidates(name)


def test_an_unknown_name_is_refused(pretend):
    pretend("CPUExecutionProvider")
    with pytest.raises(ProviderError, match=r"expected one of auto, cpu, cuda.*got 'gpu'"):
        providers.candidates("gpu")
    with pytest.raises(InputError, match="expected a string such as 'cpu', got None"):
        providers.candidates(None)


def test_a_list_is_onnxruntimes_with_short_names_too(pretend):
    pretend("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    asked = ["tensorrt", ("CUDAExecutionProvider", {"device_id": 1}), "cpu"]
    (choice,), why = providers.prefer("auto", asked, "float32")
    assert choice == (
        Request("tensorrt", {}), Request("cuda", {"device_id": "1"}), Request("cpu", {})
    )  # fmt: skip
    assert providers.names(choice) == "tensorrt, cuda, cpu"
    assert why == "asked for by name"


@pytest.mark.parametrize(
    ("provider", "asked", "says"),
    [
        ("cpu", ["cpu"], "expected one of the two, got provider='cpu' and providers="),
        ("auto", [], r"expected a list such as .*, got \[\]"),
        ("auto", "cuda", "expected a list such as .*, got 'cuda'"),
        ("auto", ["auto"], "expected names, got 'auto'"),
        ("auto", ["cpu", "CPUExecutionProvider"], "expected each once, got cpu, cpu"),
        ("auto", [3], "got 3"),
        ("auto", [("cpu",)], r"got \('cpu',\)"),
        ("auto", [("cpu", 3)], r"got \('cpu', 3\)"),
    ],
)
def test_a_list_that_is_none_is_refused(provider, asked, says):
    with pytest.raises(InputError, match=says):
        providers.prefer(provider, asked, "float32")


def test_each_name_in_a_list_is_refused_by_itself(pretend):
    pretend("CPUExecutionProvider")
    with pytest.raises(ProviderError, match="'cuda' was asked for"):
        providers.prefer("auto", ["cpu", "cuda"], "float32")


def test_auto_says_why(pretend):
    pretend("CPUExecutionProvider")
    assert "auto tries cuda first, but this" in providers.prefer("auto", None, "float32").why
    pretend("CUDAExecutionProvider", "CPUExecutionProvider")
    assert providers.prefer("auto", None, "float32").why == "auto tries cuda, then cpu"
    assert providers.prefer("cpu", None, "float32").why == "asked for by name"


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda"])
def test_bf16_is_refused_if_the_provider_lacks_it(pretend, name):
    pretend("CUDAExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(ProviderError, match=r"'bf16' was asked for.*provider='openvino'"):
        providers.prefer(name, None, "bf16")


@pytest.mark.parametrize(
    ("precision", "hint"), [("float32", "f32"), ("int8", "f32"), ("bf16", "bf16")]
)
def test_openvino_receives_its_precision_and_threads(precision, hint):
    settings = providers.settings(Request("openvino", {}), precision, 3)
    assert json.loads(settings["load_config"]) == {
        "CPU": {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": "3"}
    }


def test_options_that_the_caller_gives_win():
    given = {"load_config": json.dumps({"CPU": {"INFERENCE_NUM_THREADS": "9"}, "X": {}}), "a": "b"}
    settings = providers.settings(Request("openvino", given), "float32", 3)
    assert json.loads(settings.pop("load_config")) == {
        "CPU": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "9"},
        "X": {},
    }
    assert settings == {"a": "b"}
    gpu = providers.settings(Request("openvino", {"device_type": "GPU"}), "float32", 3)
    assert json.loads(gpu["load_config"]) == {"GPU": {"INFERENCE_PRECISION_HINT": "f32"}}
    for wrong in ("{", "3", '{"CPU": 3}'):
        with pytest.raises(InputError, match="load_config: expected JSON"):
            providers.settings(Request("openvino", {"load_config": wrong}), "float32", 3)


def test_cuda_computes_in_float32_by_default():
    assert providers.settings(Request("cuda", {}), "float32", 3) == {"use_tf32": "0"}
    tf32 = Request("cuda", {"use_tf32": "1"})
    assert providers.settings(tf32, "float32", 3) == {"use_tf32": "1"}
