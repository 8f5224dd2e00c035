import copy
import dataclasses

import numpy as np
import onnx
import pytest
import torch

import edgevae
from edgevae.errors import CheckError
from edgevae.sampling import MixtureTable
from train.export import export
from train.model.checkpoint import Checkpoint, StageState
from train.model.models import build
from train.model.recipe import Recipe


def content(**architecture):
    torch.manual_seed(0)
    description = {
        "variational": True,
        "x_shape": [1, 8, 8],
        "latent_dim": 3,
        "architecture": "residual",
        "widths": [4, 6],
        "likelihood": "gaussian",
        "images": True,
    } | architecture
    images = description["images"]
    samples = (255 * torch.rand(8, 1, 8, 8)).to(torch.uint8) if images else torch.randn(8, 5)
    ema = build(description).state_dict()
    means = torch.randn(2, 3).numpy()
    return Checkpoint(
        architecture=description,
        recipe=Recipe(epochs=1, noise=0.5),
        data={"name": "squares", "kind": "image" if images else "vector", "licence": "MIT"},
        samples=samples,
        fit=StageState(7, {"ema": ema}),
        has_prior=True,
        prior=MixtureTable(np.full(2, 0.5, np.float32), means, np.zeros((2, 3), np.float32)),
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "squares"
    return export.export(content(), folder, activations=True)


def test_the_bundle_says_what_was_trained(written):
    assert written.x_shape == (1, 8, 8)
    assert written.components == 2
    assert written.likelihood["sigma"] == pytest.approx(1)
    assert written.noise == 0.5
    assert written.provenance["steps"] == 7


def test_the_device_computes_what_pytorch_did(written):
    vae, check = edgevae.load(written.path), written.selfcheck()
    np.testing.assert_allclose(vae.encode(check["x"]).mu, check["mu"], atol=1e-5)
    np.testing.assert_allclose(vae.decode(check["z"]), check["x_hat"], atol=1e-5)


def test_activations_are_the_means_of_channels_and_mu(written):
    x = written.selfcheck()["x"]
    expected = content().averaged_model().activations(torch.from_numpy(x)).detach().numpy()
    assert expected.shape[1] == 4 + 6 + 6 + 16 + 3
    np.testing.assert_allclose(edgevae.load(written.path).activations(x), expected, atol=1e-5)


@pytest.mark.parametrize("role", ["encoder", "decoder", "activations"])
def test_graphs_carry_no_path_and_no_external_data(written, role):
    path = written.path / written.graph(role).file
    graph = onnx.load(path)
    assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)
    assert not any(tensor.external_data for tensor in graph.graph.initializer)
    assert b"/train/" not in path.read_bytes()
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"


def test_vectors_keep_their_units(tmp_path):
    description = content(
        x_shape=[5], architecture="mlp", widths=[6], images=False, likelihood="gaussian"
    )
    description.fit.parts["ema"]["shift"] += 100
    scale = [0.001, 1.0, 2.0, 10.0, 5000.0]
    description.fit.parts["ema"]["scale"] *= torch.tensor(scale)
    bundle = export.export(description, tmp_path / "b")
    assert bundle.likelihood["sigma"] == pytest.approx(scale)
    assert bundle.tolerance == pytest.approx(0.51)  # 1e-4 of the largest unit
    assert bundle.kind == "vector"
    assert bundle.x_range is None
    generated = edgevae.load(bundle.path).generate(50, seed=1)
    assert generated[:, :3].mean() == pytest.approx(100, abs=2)
    assert generated[:, 4].std() > 100


def test_an_autoencoder_s_posterior_is_a_point(tmp_path):
    """Its bundle has no mixture; the device, which samples any posterior, gets mu."""
    description = content(variational=False, architecture="mlp", widths=[6])
    description.has_prior, description.prior = False, None
    vae = edgevae.load(export.export(description, tmp_path / "b").path)
    assert vae.bundle.components == 0
    assert vae.bundle.provenance["model"] == "autoencoder"
    posterior = vae.encode(np.random.default_rng(0).random((4, 1, 8, 8), np.float32))
    np.testing.assert_allclose(posterior.sample(seed=1), posterior.mu, atol=1e-5)


def test_a_run_that_has_not_ended_is_not_exported(tmp_path):
    description = content()
    description.has_prior, description.prior = False, None
    with pytest.raises(ValueError, match="--resume, then export"):
        export.export(description, tmp_path / "b")


def test_parity_is_proved_at_every_batch_of_a_small_data_set():
    items = torch.arange(2.0)[:, None]
    assert [len(batch) for batch in export.batches([items])] == [1, 2, 7]


def test_a_graph_that_differs_from_pytorch_is_not_written(tmp_path, monkeypatch):
    faithful = export.to_onnx

    def altered(graph, *rest):
        changed = copy.deepcopy(graph)
        torch.nn.init.constant_(changed.model.encoder[0].bias, 0.1)
        return faithful(changed, *rest)

    monkeypatch.setattr(export, "to_onnx", altered)
    with pytest.raises(CheckError, match="no bundle was written"):
        export.export(content(), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_conditional_decoder_takes_a_class(tmp_path):
    checkpoint = dataclasses.replace(content(classes=3), classes=["a", "b", "c"])
    vae = edgevae.load(export.export(checkpoint, tmp_path / "b").path, "cpu")
    assert vae.bundle.classes == ("a", "b", "c")
    model = checkpoint.averaged_model()
    z = vae.sample(5, seed=1)
    with torch.inference_mode():
        right = model.decode(torch.from_numpy(z), torch.tensor([2, 0, 1, 1, 2])).numpy()
    np.testing.assert_allclose(vae.decode(z, labels=["c", "a", 1, 1, 2]), right, atol=1e-5)
