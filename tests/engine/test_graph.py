"""A graph runs into the caller's arrays, and is refused if it differs from the manifest."""

import os
from dataclasses import replace

import numpy as np
import pytest

from edgevae import bundle
from edgevae.engine.graph import Graph, Placement
from edgevae.engine.providers import Preference, Request
from edgevae.errors import BundleError, ProviderError


@pytest.fixture
def decoder(tinies, tiny_paths):
    """Return the grey decoder's graph, on these providers and with these shapes."""

    def make(names=("cpu",), inputs=None, outputs=None, path=tiny_paths["grey"]):
        inputs, outputs = inputs or {"z": (4,)}, outputs or {"x_hat": (1, 8, 8)}
        preference = Preference(
            tuple((Request(name, {}),) for name in names), "so the test wants it"
        )
        opened = replace(bundle.read(tiny_paths["grey"]), path=path)
        return Graph(opened, "decoder", preference, inputs=inputs, outputs=outputs)

    return make


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
        decoder(path=tmp_path).open(1)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_an_unavailable_provider_is_replaced_with_a_warning(decoder):
    graph = decoder(("cuda", "cpu"))
    assert graph.open(1) == "cpu"
    provider, nodes, why = graph.placement(1)
    assert provider == "cpu"
    assert set(nodes) == {"cpu"}
    assert why.startswith("so the test wants it; provider 'cuda' is not available: ")


def test_a_placement_names_the_provider_of_every_node(decoder):
    placement = decoder().placement(1)
    assert placement.nodes["cpu"] >= 3  # Gemm or MatMul, Sigmoid and what scales it
    assert str(placement) == f"{placement.nodes['cpu']} nodes on cpu (so the test wants it)"
    assert str(Placement("cuda", None, "asked for")) == (
        "an unknown number of nodes on cuda (asked for)"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_while_an_accelerator_runs_does_not_wait_for_it(decoder):
    graph = decoder()
    with graph._accelerator:
        child = os.fork()
        if not child:
            os._exit(0 if graph._accelerator.acquire(timeout=1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
