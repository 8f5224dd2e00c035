import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

import edgevae
from edgevae.errors import InputError
from train.data.dataset import Data
from train.evaluation import judges
from train.evaluation import report as evaluate


@pytest.fixture
def data():
    torch.manual_seed(0)
    x, y = torch.randint(0, 256, (300, 1, 8, 8)), torch.randint(0, 3, (300,))
    items, labels = x.to(torch.uint8), y.to(torch.uint8)
    return Data("noise", "image", items[:200], items[200:], "MIT", labels[:200], labels[200:])


def test_a_report_has_every_row(tiny_paths, data, tmp_path):
    report = evaluate.evaluate(
        tiny_paths["grey"], data, tmp_path / "report", tmp_path / "judges", draws=3, iwae_items=20
    )
    assert json.loads((tmp_path / "report/report.json").read_text()) == report
    assert [judge["name"] for judge in report["judges"]] == ["pooled", "patched"]
    rows = report["judges"][0]["rows"]
    assert next(iter(rows)) == "real train images"
    assert rows["real train images"]["frechet"] < rows["N(0, I)"]["frechet"]
    page = (tmp_path / "report/report.md").read_text()
    for word in (
        "-ELBO",
        "IWAE bound, K = 3, first 20 items",
        "PCA-Wiener",
        "mixture prior",
        "copies",
    ):
        assert word.lower() in page.lower()
    with Image.open(tmp_path / "report/grid.png") as grid:
        assert grid.size == (2 * (3 * 64 + 24), 128)


def test_vectors_are_judged_in_their_own_units(tiny_paths, tmp_path):
    """Vectors have neither a classifier nor pictures."""
    rng = np.random.default_rng(0)
    items = torch.from_numpy(rng.standard_normal((60, 5)).astype(np.float32))
    data = Data("numbers", "vector", items[:40], items[40:], "MIT")
    report = evaluate.evaluate(tiny_paths["vector"], data, tmp_path, tmp_path, 2, 10)
    assert "judges" not in report
    assert "reconstruction_psnr_db" not in report["likelihood"]
    assert "variance explained" in (tmp_path / "report.md").read_text()


def test_a_bundle_without_a_mixture_and_few_unlabelled_items(tiny_paths, data, tmp_path):
    """An autoencoder has no mixture, and can be sampled from N(0, I) alone."""
    few = Data("few", "image", data.train[:20, :, :, :6].expand(-1, 3, -1, -1), None, "MIT")
    few = dataclasses.replace(few, test=few.train[:3])
    vae = edgevae.load(tiny_paths["colour"])
    sets = evaluate.judged_sets(vae, few)
    assert [*sets] == ["real train images", "reconstructions", "aggregate posterior", "N(0, I)"]
    report = evaluate.evaluate(tiny_paths["colour"], few, tmp_path, tmp_path, 2, 3)
    assert report["copies"]["items"] == 3
    assert "no classifier" in (tmp_path / "report.md").read_text()


def test_other_data_than_the_bundle_s_are_refused(tiny_paths, data, tmp_path):
    with pytest.raises(ValueError, match=r"expected items of shape \(5,\)"):
        evaluate.evaluate(tiny_paths["vector"], data, tmp_path, tmp_path)


def test_a_conditional_bundle_is_refused_before_any_work(tiny_paths, data, tmp_path):
    with pytest.raises(InputError, match=r"without classes, got .* of 3: benchmarks/bench_classes"):
        evaluate.evaluate(tiny_paths["classes"], data, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


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
