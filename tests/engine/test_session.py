"""A session has the requested providers, or an error is raised."""

from types import SimpleNamespace

import onnxruntime
import pytest

from edgevae.engine import cuda, plugins, session
from edgevae.engine.providers import Request
from edgevae.errors import BundleError, InputError, ProviderError


@pytest.fixture
def opened(tiny_paths):
    """Open the grey decoder on providers by name or (name, options)."""

    def make(*asked, precision="float32", path=tiny_paths["grey"] / "decoder.onnx"):
        choice = tuple(Request(one, {}) if isinstance(one, str) else Request(*one) for one in asked)
        return session.open_session(path, choice, precision=precision, threads=2)

    return make


@pytest.fixture
def fake(monkeypatch):
    """Return an onnxruntime with a plugin "wondrous", whose sessions take these nodes by provider.

    Returns what sessions were made with.
    """
    metadata = {"OPTIMIZATION_CAPABILITIES": "FP32", "FULL_DEVICE_NAME": "Model T"}
    hardware = SimpleNamespace(type=SimpleNamespace(name="NPU"))
    device = SimpleNamespace(ep_metadata=metadata, device=hardware)
    full = "WondrousExecutionProvider"

    def make(operator="Conv", **nodes: int):
        made = SimpleNamespace(plugins=[], listed=None)

        class Session:
            def __init__(self, path, options, listed, enable_fallback):
                made.listed = listed

            def get_providers(self):
                return [full, "CPUExecutionProvider"]

            def get_provider_graph_assignment_info(self):
                names = {"wondrous": full, "cpu": "CPUExecutionProvider"}
                return [
                    SimpleNamespace(
                        ep_name=names[name],
                        get_nodes=lambda n=count: [SimpleNamespace(op_type=operator)] * n,
                    )
                    for name, count in nodes.items()
                ]

        class Options:
            def add_session_config_entry(self, key, value):
                pass

            def add_provider_for_devices(self, devices, settings):
                made.plugins.append((devices, settings))

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
        return made

    modules = {"wondrous": "onnxruntime_ep_wondrous"}
    monkeypatch.setattr(plugins, "installed", lambda: modules)
    monkeypatch.setattr(plugins, "register", lambda module: (full,))
    monkeypatch.setattr(
        plugins, "device", lambda name, kind=None: device if kind in (None, "NPU") else None
    )
    make.device = device
    return make


def test_nodes_are_counted(opened):
    taken = session.nodes(opened("cpu"))
    assert set(taken) == {"cpu"}
    assert taken["cpu"] >= 3
    assert session.nodes(SimpleNamespace()) is None  # onnxruntime before 1.24


def test_a_provider_that_was_replaced_is_refused(opened):
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(ProviderError, match=r"'migraphx' is not available: onnxruntime uses cpu"),
    ):
        opened("migraphx")


def test_a_provider_that_takes_no_node_is_refused(opened, fake):
    fake(wondrous=0, cpu=7)
    with pytest.raises(ProviderError, match=r"took none of the 7 nodes .* went to .*cpu; name it"):
        opened("cpu", "wondrous")
    fake(cpu=7)
    with pytest.raises(ProviderError, match="took none of the 7 nodes"):
        opened("wondrous")


def test_a_provider_that_is_in_the_session_and_takes_no_node_is_refused(opened):
    # Every onnxruntime for Linux and Windows has this one, whose work is on a server.
    remote = "AzureExecutionProvider"
    if remote not in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime was built without {remote}")
    with pytest.raises(ProviderError, match=rf"{remote}.*took none of the \d+ nodes"):
        opened(remote)


@pytest.mark.parametrize("nodes", [{}, {"wondrous": 2}, {"wondrous": 2, "cpu": 5}])
def test_counts_that_onnxruntime_does_not_tell_are_unknown(opened, fake, nodes):
    # onnxruntime 1.27 tells only of the Transposes that it added for its built-in WebGPU.
    fake("Transpose", **nodes)
    assert session.nodes(opened("wondrous")) is None


def test_a_plugin_receives_its_device_and_options(opened, fake):
    made = fake(wondrous=5, cpu=2)
    got = opened(("wondrous", {"speed": "11", "device_type": "NPU"}), "cpu")
    assert made.plugins == [([fake.device], {"speed": "11"})]
    assert made.listed is None  # or onnxruntime would forget the plugin
    assert session.nodes(got) == {"wondrous": 5, "cpu": 2}


def test_a_plugin_without_a_device_here_is_refused(opened, fake):
    fake(wondrous=5)
    with pytest.raises(ProviderError, match=r"'wondrous' .* supports no GPU of this machine \(CPU"):
        opened(("wondrous", {"device_type": "GPU"}))


def test_bf16_is_refused_if_the_processor_lacks_it(opened, fake):
    fake(wondrous=5)
    with pytest.raises(
        ProviderError, match="'bf16' was asked for, and this machine's Model T does"
    ):
        opened("wondrous", precision="bf16")


def test_a_plugin_shares_no_session_with_what_is_built_in(opened, fake, monkeypatch):
    fake(wondrous=5)
    with pytest.raises(InputError, match="wondrous, migraphx cannot share a session"):
        opened("wondrous", "migraphx")


def test_cuda_is_refused_with_the_libraries_it_lacks(opened, monkeypatch, capfd):
    monkeypatch.setattr(cuda, "missing", lambda: ("libcublas.so.13", "libcuda.so.1"))
    for name in ("cuda", "tensorrt"):
        with pytest.raises(
            ProviderError,
            match=rf"'{name}' is not available: libcublas.so.13, libcuda.so.1 cannot be loaded; "
            r".*onnxruntime-gpu\[cuda,cudnn\]",
        ):
            opened(name)
    assert capfd.readouterr() == ("", "")


def test_the_message_of_onnxruntime_is_passed_on(opened, monkeypatch, capfd):
    def fail(*args, **kwargs):
        raise RuntimeError("the device\n is on fire")

    monkeypatch.setattr(cuda, "missing", lambda: ())
    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ProviderError, match=r"cannot run this graph: the device is on fire; use"):
        opened("cuda")
    with pytest.raises(BundleError, match="cannot open this graph: the device"):
        opened("cpu")
    assert capfd.readouterr().out == ""


def test_threads_that_wait_soon_sleep(opened):
    options = opened("cpu").get_session_options()
    assert int(options.get_session_config_entry("session.intra_op.spin_duration_us")) <= 1000
