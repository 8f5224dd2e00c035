"""Kept buffers of an accelerator give what a plain call gives.

The accelerator is the CPU under CUDA's name. Its memory is the host's, and it ignores the numbers
of captured graphs; test_webgpu.py captures graphs.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgevae import bundle
from edgevae.engine import device_binding, graph
from edgevae.engine.graph import Graph
from edgevae.engine.providers import Preference, Request
from edgevae.errors import ProviderError

_WAYS = ["graphs", "page-locked"]
# A number of rows gets a binding at its second call, and uses it at its third.
_CALLS = 3


@pytest.fixture
def accelerator(tiny_paths, monkeypatch):
    """Return a graph of a tiny bundle on the accelerator, and the sessions that it opens.

    Its runs are captured as graphs, or its outputs are as CUDA's in page-locked memory.
    """
    open_session = graph.open_session

    def make(way, name="grey", role="decoder"):
        sessions = []

        def open_on_cpu(path, choice, **arguments):
            session = open_session(path, (Request("cpu", {}),), **arguments)
            sessions.append(_Session(session))
            return sessions[-1]

        monkeypatch.setattr(graph, "open_session", open_on_cpu)
        monkeypatch.setattr(graph, "on_cuda", lambda session: True)
        options = {"enable_cuda_graph": "1"} if way == "graphs" else {}
        preference = Preference(((Request("cuda", options),),), "so the test wants it")
        read = bundle.read(tiny_paths[name])
        x, z = read.x_shape, read.latent_shape
        decoder = ({"z": z, "y": ()} if read.classes else {"z": z}), {"x_hat": x}
        inputs, outputs = decoder if role == "decoder" else ({"x": x}, {"mu": z, "logvar": z})
        return Graph(read, role, preference, inputs=inputs, outputs=outputs), sessions

    return make


class _Session:
    """A session that notes the threads and the binding, if any, of its runs."""

    _sess = None  # onnxruntime's inner session, whose runs would not be seen here

    def __init__(self, session):
        self._session = session
        self.bindings, self.threads = [], set()

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run(self, *arguments):
        self.bindings.append(None)
        self.threads.add(threading.get_ident())
        return self._session.run(*arguments)

    def run_with_iobinding(self, binding, options=None):
        self.bindings.append(binding)
        self.threads.add(threading.get_ident())
        return self._session.run_with_iobinding(binding, options)


def _latents(rows, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, 4)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 5, 300])
@pytest.mark.parametrize("way", _WAYS)
def test_every_call_gives_what_a_plain_call_gives(accelerator, tinies, way, rows):
    decoder, sessions = accelerator(way)
    for seed in range(_CALLS + 1):
        z = _latents(rows, seed)
        x_hat = np.full((rows + 2, 1, 8, 8), 9, np.float32)
        decoder.run({"z": z}, {"x_hat": x_hat[1:-1]}, threads=1)
        np.testing.assert_allclose(x_hat[1:-1], tinies["grey"].decode(z), atol=2e-6)
        assert (x_hat[[0, -1]] == 9).all()
    *_, second, third = sessions[0].bindings
    assert second is third is not None


@pytest.mark.parametrize("way", _WAYS)
def test_results_stay_as_they_are_when_the_binding_runs_again(accelerator, tinies, way):
    decoder, _ = accelerator(way)
    z = [_latents(7, seed) for seed in range(5)]
    results = [decoder.call({"z": each}, 7, threads=1)[0] for each in z]
    for each, x_hat in zip(z, results, strict=True):
        np.testing.assert_allclose(x_hat, tinies["grey"].decode(each), atol=2e-6)


@pytest.mark.parametrize("way", _WAYS)
def test_classes_and_several_outputs_are_bound_too(accelerator, tinies, way):
    decoder, _ = accelerator(way, "classes")
    tiny = tinies["classes"]
    encoder, _ = accelerator(way, "classes", "encoder")
    rng = np.random.default_rng(0)
    for _ in range(_CALLS):
        y = rng.integers(0, 3, 6)
        z = rng.standard_normal((6, *tiny.latent_shape), np.float32)
        (x_hat,) = decoder.call({"z": z, "y": y}, 6, threads=1)
        np.testing.assert_allclose(x_hat, tiny.decode(z, y), atol=2e-6)
        x = rng.random((6, *tiny.x_shape), np.float32)
        for got, expected in zip(encoder.call({"x": x}, 6, threads=1), tiny.encode(x), strict=True):
            np.testing.assert_allclose(got, expected, atol=2e-6)


def test_outputs_are_used_where_they_are_received(accelerator, tinies):
    decoder, _ = accelerator("page-locked")
    used = []
    for seed in range(_CALLS + 1):
        z = _latents(9, seed)
        expected = tinies["grey"].decode(z)
        decoder.apply(
            {"z": z},
            9,
            lambda outputs, expected=expected: (
                np.testing.assert_allclose(outputs[0], expected, atol=2e-6),
                used.append(outputs[0].ctypes.data),
            ),
            threads=1,
        )
    assert used[2] == used[3]  # the same memory, without a copy


@pytest.mark.parametrize("way", _WAYS)
def test_threads_with_other_rows_do_not_mix(accelerator, tinies, way):
    decoder, sessions = accelerator(way)
    decoder.open(1)

    def decode(seed):
        z = _latents(1 + seed % 5, seed)
        (x_hat,) = decoder.call({"z": z}, len(z), threads=1)
        return np.abs(x_hat - tinies["grey"].decode(z)).max()

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(decode, range(200))) < 2e-6
    assert sum(binding is not None for binding in sessions[0].bindings) > 100


def test_all_runs_of_a_session_with_graphs_are_in_one_thread(accelerator):
    decoder, sessions = accelerator("graphs")
    decoder.open(1)

    def decode(rows):
        decoder.call({"z": _latents(rows)}, rows, threads=1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [1, 2, 3, 1, 2, 3, 1, 2, 3]))
    assert len(sessions[0].threads) == 1
    assert threading.get_ident() not in sessions[0].threads


@pytest.mark.parametrize("way", _WAYS)
def test_a_run_that_fails_is_an_error_of_the_provider(accelerator, tinies, way):
    decoder, _ = accelerator(way)
    z = _latents(5)
    for _ in range(_CALLS):
        decoder.call({"z": z}, 5, threads=1)
    with pytest.raises(ProviderError, match="provider 'cuda' failed to run this graph"):
        decoder.call({"z": z[:, :3]}, 5, threads=1)
    (x_hat,) = decoder.call({"z": z}, 5, threads=1)
    np.testing.assert_allclose(x_hat, tinies["grey"].decode(z), atol=2e-6)


@pytest.mark.parametrize("limit", ["_KEPT_BYTES", "_GRAPHS"])
def test_beyond_a_limit_rows_run_without_a_binding(accelerator, tinies, monkeypatch, limit):
    row_bytes = 4 * (4 + 64)
    monkeypatch.setattr(device_binding, limit, {"_KEPT_BYTES": 7 * row_bytes, "_GRAPHS": 1}[limit])
    decoder, sessions = accelerator("graphs")
    for rows in (5, 4, 8):
        for _ in range(_CALLS):
            z = _latents(rows)
            (x_hat,) = decoder.call({"z": z}, rows, threads=1)
            np.testing.assert_allclose(x_hat, tinies["grey"].decode(z), atol=2e-6)
    own = [binding is not None for binding in sessions[0].bindings[-10:]]
    assert own == [False, True, True, True] + [False] * 6  # the first of the three captures


@pytest.mark.parametrize("way", _WAYS)
def test_a_binding_whose_input_does_not_arrive_is_not_used(accelerator, tinies, monkeypatch, way):
    value = device_binding._value

    def stale(session, name, shape, dtype):
        made = value(session, name, shape, dtype)
        if name == "z":
            made.update_inplace(np.zeros(shape, dtype))
            monkeypatch.setattr(type(made), "update_inplace", lambda value, array: None)
        return made

    monkeypatch.setattr(device_binding, "_value", stale)
    decoder, _ = accelerator(way)
    assert decoder.placement(1).why.endswith(
        "its inputs and outputs are allocated for each call: output x_hat of a kept binding "
        "differs from a plain call's"
    )
    z = _latents(5)
    for _ in range(_CALLS):
        (x_hat,) = decoder.call({"z": z}, 5, threads=1)
        np.testing.assert_allclose(x_hat, tinies["grey"].decode(z), atol=2e-6)


def test_a_graph_that_cannot_be_captured_is_done_without(accelerator, tinies, monkeypatch):
    def refuse(binding):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(device_binding.DeviceBinding, "capture", refuse)
    decoder, sessions = accelerator("graphs")
    for rows in (5, 6):
        for _ in range(_CALLS):
            z = _latents(rows)
            (x_hat,) = decoder.call({"z": z}, rows, threads=1)
            np.testing.assert_allclose(x_hat, tinies["grey"].decode(z), atol=2e-6)
    assert sessions[0].bindings[-6:] == [None] * 6


def test_the_placement_says_how_data_reaches_the_device(accelerator):
    decoder, _ = accelerator("graphs")
    assert decoder.placement(1).why == (
        "so the test wants it; its inputs are kept on the device and its runs are captured as "
        "graphs"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("way", _WAYS)
def test_a_forked_process_makes_bindings_of_its_own(accelerator, tinies, way):
    decoder, _ = accelerator(way)
    z = _latents(5)
    expected = tinies["grey"].decode(z)
    for _ in range(_CALLS):
        decoder.call({"z": z}, 5, threads=1)
    child = os.fork()
    if not child:
        results = [decoder.call({"z": z}, 5, threads=1)[0] for _ in range(_CALLS)]
        os._exit(0 if all(np.abs(x_hat - expected).max() < 2e-6 for x_hat in results) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
