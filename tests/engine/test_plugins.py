"""Plugins are found by their library, loaded on request, and matched with this machine."""

import importlib.util
import os
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

import edgevae
from edgevae.engine import plugins, providers
from edgevae.errors import ProviderError

MODULE = """
loaded = True
def get_library_path():
    return {library!r}
def get_ep_names():
    return ["WondrousExecutionProvider"]
"""


def a_device(ort_name: str, kind: str, vendor: str = "ACME", **metadata: str):
    hardware = SimpleNamespace(type=SimpleNamespace(name=kind), vendor=vendor)
    return SimpleNamespace(ep_name=ort_name, device=hardware, ep_metadata=metadata)


@pytest.fixture
def wondrous(tmp_path, monkeypatch):
    """Install a plugin; return the list of libraries that onnxruntime loads."""
    folder = tmp_path / "onnxruntime_ep_wondrous"
    folder.mkdir()
    library = folder / "libonnxruntime_providers_wondrous.so"
    library.touch()
    (folder / "__init__.py").write_text(MODULE.format(library=str(library)))
    (tmp_path / "onnxruntime_extensions").mkdir()  # no plugin: it ships no provider
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    devices, loaded = [a_device("CPUExecutionProvider", "CPU")], []

    def register(name, path):
        loaded.append(path)
        devices.append(a_device("WondrousExecutionProvider", "GPU"))
        devices.append(a_device("WondrousExecutionProvider", "NPU"))

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", register)
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)
    monkeypatch.delitem(sys.modules, "onnxruntime_ep_wondrous", raising=False)
    plugins.register.cache_clear()
    yield loaded
    plugins.register.cache_clear()
    sys.modules.pop("onnxruntime_ep_wondrous", None)


def test_a_plugin_is_found_without_being_imported(wondrous):
    assert plugins.installed()["wondrous"] == "onnxruntime_ep_wondrous"
    assert "extensions" not in plugins.installed()
    assert "wondrous" in providers.available()
    assert providers.candidates("wondrous") == ("wondrous",)
    assert providers.candidates("WondrousExecutionProvider") == ("wondrous",)
    assert "onnxruntime_ep_wondrous" not in sys.modules
    assert wondrous == []


def test_a_plugin_is_loaded_once(wondrous):
    for _ in range(2):
        assert plugins.load("wondrous") == "WondrousExecutionProvider"
    assert [os.path.basename(path) for path in wondrous] == ["libonnxruntime_providers_wondrous.so"]
    assert plugins.load("cpu") is None


def test_a_plugin_that_the_caller_loaded_is_left_alone(wondrous, monkeypatch):
    devices = [a_device("WondrousExecutionProvider", "CPU")]
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)
    assert plugins.load("wondrous") == "WondrousExecutionProvider"
    assert wondrous == []


def test_a_plugin_that_cannot_be_loaded_is_explained(wondrous, monkeypatch):
    def fail(name, path):
        raise RuntimeError("needs ORT API version 99")

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", fail)
    with pytest.raises(ProviderError, match=r"onnxruntime_ep_wondrous cannot be.*99.*pip install"):
        plugins.load("wondrous")


def test_an_onnxruntime_without_plugins_is_explained(wondrous, monkeypatch):
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(ProviderError, match=r"takes no plugins; pip install -U onnxruntime"):
        plugins.load("wondrous")


def test_the_cpu_is_preferred_among_devices(monkeypatch):
    devices = [
        a_device("A", "GPU"),
        a_device("A", "CPU"),
        a_device("B", "NPU"),
        a_device("B", "GPU"),
    ]
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)
    assert plugins.device("A") is devices[1]
    assert plugins.device("B") is devices[2]
    assert plugins.device("B", "GPU") is devices[3]
    assert plugins.device("B", "CPU") is None
    assert plugins.device("C") is None
    assert plugins.devices_in_words() == "GPU of ACME, CPU of ACME, NPU of ACME"


def test_an_older_onnxruntime_lists_no_devices(monkeypatch):
    monkeypatch.delattr(onnxruntime, "get_ep_devices", raising=False)
    assert plugins.registered() == set()


# --- OpenVINO, for real ----------------------------------------------------------------------


@pytest.fixture
def openvino():
    if importlib.util.find_spec("onnxruntime_ep_openvino") is None:
        pytest.skip("onnxruntime-ep-openvino is not installed, which only its own extra brings")
    if plugins.device(plugins.load("openvino") or "") is None:
        pytest.skip(f"OpenVINO's plugin supports none of {plugins.devices_in_words()}")


def test_openvino_computes_in_float32(openvino):
    vae = edgevae.load("fashion", "openvino")
    expected = vae.bundle.selfcheck()
    assert np.abs(vae.decode(expected["z"]) - expected["x_hat"]).max() <= 1e-5
    assert {role: set(p.nodes) for role, p in vae.providers.items()} == {
        "encoder": {"openvino"}, "decoder": {"openvino"}
    }  # fmt: skip
    assert vae.providers["decoder"].nodes["openvino"] > 10


def test_openvino_computes_in_bf16_on_request(openvino):
    expected = edgevae.load("fashion", "openvino").generate(64, seed=3)
    got = edgevae.load("fashion", "openvino", precision="bf16").generate(64, seed=3)
    difference = np.abs(got - expected)
    assert 1e-4 < difference.max() < 0.1
    assert difference.mean() < 1e-3
