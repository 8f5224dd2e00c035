import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import edgevae
from train import evaluate, judges
from train.data import Data


@pytest.fixture
def data():
    torch.manual_seed(0)
    x, y = torch.randint(0, 256, (300, 1, 8, 8)), torch.randint(0, 3, (300,))
    items, labels = x.to(torch.uint8), y.to(torch.uint8)
    return Data("noise", "image", items[:200], items[200:], "MIT", labels[:200], labels[200:])


def test_a_report_has_every_row(tiny_paths, data, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.pictures, "interpolations", lambda *_: None)
    report = evaluate.evaluate(
        tiny_paths["grey"], data, tmp_path / "report", tmp_path / "judges", draws=3, iwae_items=20
    )
    assert json.loads((tmp_path / "report/report.json").read_text()) == report
    assert [judge["name"] for judge in report["judges"]] == ["pooled", "patched"]
    rows = report["judges"][0]["rows"]
    assert next(iter(rows)) == "real train images"
    assert rows["real train images"]["frechet"] < rows["N(0, I)"]["frechet"]
    page = (tmp_path / "report/report.md").read_text()
    for word in ("-ELBO", "IWAE bound, K = 3", "PCA-Wiener", "mixture prior", "copies"):
        assert word.lower() in page.lower()
    with Image.open(tmp_path / "report/grid.png") as grid:
        assert grid.size == (2 * (3 * 64 + 24), 128)


def test_the_iwae_bound_is_no_worse_than_the_elbo(tiny_paths):
    vae = edgevae.load(tiny_paths["grey"])
    x = np.random.default_rng(0).random((50, 1, 8, 8), np.float32)
    one, many = (evaluate.iwae(vae, x, draws).mean() for draws in (1, 50))
    assert many > one
    posterior = vae.encode(x)
    recon = evaluate.recon_nats(vae, x, vae.decode(posterior.sample(seed=1)))
    # With one draw the bound is the elbo, whose KL is here estimated by the same draw.
    assert one == pytest.approx(-(recon + posterior.kl()).mean(), rel=0.02)


def test_recon_in_nats(tiny_paths):
    vae = edgevae.load(tiny_paths["grey"])
    x = np.zeros((1, 1, 8, 8), np.float32)
    sigma = float(vae.bundle.likelihood["sigma"])
    at_best = 64 * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    assert evaluate.recon_nats(vae, x, x)[0] == pytest.approx(at_best)
    assert evaluate.recon_nats(vae, x, x + np.float32(sigma))[0] == pytest.approx(at_best + 32)


def test_psnr_of_a_known_error():
    x = np.zeros((1, 1, 2, 2), np.float32)
    assert evaluate.peak_signal_to_noise(x, x + np.float32(0.1))[0] == pytest.approx(20, abs=1e-4)


def test_a_copy_is_found(data):
    train = data.train.float().numpy() / 255
    test = data.test.float().numpy() / 255
    assert evaluate.copies_report(data, test, test)["copies"] == 0
    assert evaluate.copies_report(data, test, train[:7])["copies"] == 7


def test_a_judge_is_kept_and_read_again(data, tmp_path):
    trained = judges.judge("pooled", data, tmp_path / "j.pt", epochs=1)
    read = judges.judge("pooled", data, tmp_path / "j.pt", epochs=1)
    np.testing.assert_allclose(trained.features(data.test), read.features(data.test), atol=1e-6)
    assert trained.features(data.test).shape == (100, judges.FEATURES)
    assert trained.accuracy == read.accuracy
