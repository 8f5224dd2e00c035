"""Graphs are chosen by the provider and the machine."""

import platform
from dataclasses import replace

import numpy as np
import pytest

from edgevae.bundle import GraphEntry
from edgevae.engine import Runner, graph, targets, why
from edgevae.engine.providers import Preference, Request
from edgevae.engine.targets import architecture


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("x86_64", "x86_64"), ("AMD64", "x86_64"), ("aarch64", "aarch64"), ("arm64", "aarch64")],
)
def test_the_cpu_takes_the_graph_of_its_architecture(monkeypatch, machine, expected):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    architecture.cache_clear()
    try:
        assert targets("cpu") == (expected, "any")
        assert targets("cuda") == targets("openvino, cpu") == ("generic", "any")
    finally:
        architecture.cache_clear()


@pytest.fixture
def for_this_machine(tinies, tmp_path):
    """A bundle whose decoder for this machine gives 0.95 times the pixels of the others."""
    other = replace(tinies["grey"], x_range=(0.0, 0.95)).decoder()
    entry = GraphEntry("decoder", architecture(), "float32", chunk_rows=7)
    return tinies["grey"].write(tmp_path / "b", further=[(entry, other)])


def test_a_runner_runs_the_graph_of_its_provider(tinies, for_this_machine):
    runner = Runner(for_this_machine, "cpu", 1)
    z = np.zeros((1, 4), np.float32)
    assert runner.graph("decoder").entry.target == architecture()
    assert runner.graph("encoder").entry.target == "any"
    np.testing.assert_allclose(runner.decode(z), 0.95 * tinies["grey"].decode(z), atol=2e-6)
    assert runner.plan("decoder").chunk == 7


@pytest.mark.parametrize(
    ("target", "provider", "says"),
    [
        (architecture(), "cpu", f"{architecture()}, as this machine is one"),
        ("any", "cpu", f"any, since the bundle has none for {architecture()} in float32"),
        ("any", "openvino", "any, since provider openvino takes no graph made for the CPU"),
        ("generic", "cuda", "generic, as provider cuda is not the CPU's"),
    ],
)
def test_a_choice_is_explained(target, provider, says):
    entry = GraphEntry("decoder", target, "float32")
    assert why(entry, provider) == says
    tuned = f"{target}, the fastest that `edgevae tune` measured"
    assert why(entry, provider, target) == tuned


def decoder_on(opened, *names):
    preference = Preference(tuple((Request(name, {}),) for name in names), "so the test wants it")
    shapes = {"inputs": {"z": (4,)}, "outputs": {"x_hat": (1, 8, 8)}}
    return graph.Graph(opened, "decoder", preference, **shapes)


def test_another_provider_takes_the_graph_for_any(monkeypatch, for_this_machine):
    paths = []

    def open_on_cpu(path, choice, **arguments):
        paths.append(path.name)
        return open_session(path, (Request("cpu", {}),), **arguments)

    open_session = graph.open_session
    monkeypatch.setattr(graph, "open_session", open_on_cpu)
    decoder = decoder_on(for_this_machine, "another")
    assert decoder.entry.target == "any"
    assert decoder.open(1) == "another"
    assert paths == ["decoder.onnx"]


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_cpu_that_replaces_an_accelerator_takes_its_own_graph(for_this_machine):
    decoder = decoder_on(for_this_machine, "cuda", "cpu")
    assert decoder.entry.target == architecture()
    assert decoder.open(1) == "cpu"
