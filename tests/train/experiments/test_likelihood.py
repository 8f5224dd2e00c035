"""The benchmark's estimates agree with p(x) of a tiny VAE, which numpy integrates."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

import edgevae
from edgevae.data import likelihood
from train.data.dataset import Data
from train.experiments import likelihood as benchmark
from train.experiments import likelihood_report as benchmark_report
from train.experiments.likelihood_models import Model
from train.model.checkpoint import StageState

TINY = Model(
    {"architecture": "mlp", "widths": [6], "latent_dim": 1, "prior": "free", "components": 3},
    (
        {"epochs": 1, "batch": 16, "learning_rate": 1e-2},
        {"epochs": 2, "batch": 16, "learning_rate": 1e-3, "draws": 3},
    ),
    None,
    "tiny",
)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Two stages of a model of a single latent dimension, whose prior is a learned mixture."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 4, 4), generator=generator).to(torch.uint8)
    data = Data("noise", "image", images, images[:16], "MIT")
    out = tmp_path_factory.mktemp("benchmark")
    return benchmark.train(TINY, data, out, seed=3, epochs=None)


@pytest.fixture(scope="module")
def vae(content, tmp_path_factory):
    return edgevae.load(benchmark.export(content, tmp_path_factory.mktemp("b") / "b").path)


def test_the_bound_nears_log_p_of_x(vae):
    x = np.random.default_rng(0).integers(0, 2, (3, 1, 4, 4)).astype(np.float32)
    z = np.linspace(-12, 12, 4001, dtype=np.float32)[:, None]
    log_prior = vae.prior.log_density(z)
    for item in x:
        recon = likelihood.recon(item[None], vae.decode(z), vae.bundle.likelihood)
        exact = -logsumexp(log_prior - recon) - np.log(24 / 4000)
        few, many = (vae.score(item, "iwae", draws=k).values[0] for k in (1, 4000))
        assert many == pytest.approx(exact, abs=0.05)
        assert few != pytest.approx(many, abs=1e-6)


def test_a_stage_begins_where_the_last_one_ended(content):
    assert benchmark.facts_of(TINY, content, None)["epochs"] == 3
    assert content.recipe.draws == 3
    assert content.seconds > 0


def test_a_bounded_output_is_not_bounded_again(content, vae, tmp_path, monkeypatch):
    x, kept = np.ones((2, 1, 4, 4), np.float32), tmp_path / "nats.npy"
    nats = benchmark.bound(vae, x, 4, kept)
    monkeypatch.setattr(vae, "score", None)
    np.testing.assert_array_equal(benchmark.bound(vae, x, 4, kept), nats)
    with pytest.raises(TypeError):
        benchmark.bound(vae, x, 4, tmp_path / "others.npy")
    weights = {name: part + 1 for name, part in content.fit.parts["ema"].items()}
    others = dataclasses.replace(content, fit=StageState(1, {"ema": weights}))
    assert benchmark.digest(content) != benchmark.digest(others)


def test_binarised_images_are_those_of_the_published_figures():
    """The images are binarised by numpy's legacy generator, one after the other."""
    x = np.full((50, 1, 4, 4), 51, np.uint8)
    data = Data("fifths", "image", *map(torch.from_numpy, (x, x[:30])), "MIT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "TRAINING", 20)
        drawn = benchmark.binarised(data)
    np.random.seed(777)
    np.random.binomial(1, x[20:] / 255)
    np.testing.assert_array_equal(drawn, np.random.binomial(1, x[:30] / 255))
    assert drawn.mean() == pytest.approx(0.2, abs=0.05)


def test_the_training_images_are_parted_as_published():
    images = torch.arange(60_000, dtype=torch.int32)[:, None]
    data = benchmark.split(Data("order", "vector", images, images[:5], "MIT"))
    assert data.train[-1] == 49_999
    assert data.test[0] == 50_000
    assert len(data.test) == 10_000


def test_the_report_compares_image_by_image(tmp_path):
    nats = np.array([100.0, 300.0])
    run = {"epochs": 1, "parameters": 9, "training_seconds": 90}
    rows = [
        {"model": model, "seed": seed, "nats": nats + shift + seed, **run}
        for model, shift in (("vae", 5), ("edgevae", 3))
        for seed in (0, 1)
    ]
    benchmark_report.write(tmp_path, rows, samples=7)
    page = (tmp_path / "report.md").read_text()
    assert "edgevae less vae | -2.00 ± 0.00" in page
    assert "205.50 ± 100.00 [0.71] | 2 | 1 | 9 | 1.5 |" in page
    assert json.loads((tmp_path / "report.json").read_text())["runs"][0]["nats"]["mean"] == 205
