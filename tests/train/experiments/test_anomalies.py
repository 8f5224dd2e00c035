"""The experiment on anomaly scores, in miniature: splits, figures, page and picture."""

import json

import numpy as np
import pytest
import torch

from edgevae import bundle
from train.data.dataset import Data
from train.data.datasets import FASHION_CLASSES
from train.experiments import anomalies
from train.experiments import odds_tables as odds


@pytest.fixture(scope="module")
def fashion():
    """Ten classes of 8 x 8 images, thirty and four of each: class k is bright in row k % 8."""
    generator = torch.Generator().manual_seed(0)

    def images(count):
        labels = torch.arange(10).repeat_interleave(count)
        x = torch.randint(0, 60, (len(labels), 1, 8, 8), generator=generator)
        for image, label in zip(x, labels, strict=True):
            image[0, label % 8] += 180
        return x.to(torch.uint8), labels

    (train, train_labels), (test, test_labels) = images(30), images(4)
    return Data("fashion", "image", train, test, "MIT", train_labels, test_labels, FASHION_CLASSES)


@pytest.fixture
def small(monkeypatch):
    """The protocol with few images, little training and a small network."""
    with monkeypatch.context() as patch:
        patch.setattr(anomalies, "TRAINED", 20)
        patch.setattr(anomalies, "CALIBRATES", 5)
        patch.setattr(anomalies, "ALPHAS", (0.2, 0.5))
        patch.setattr(anomalies, "IMAGES", {"architecture": "mlp", "widths": [16], "latent_dim": 2})
        recipe = {"epochs": 8, "batch": 10, "learning_rate": 1e-2, "beta": 0.1, "noise": 0.0}
        patch.setattr(anomalies, "RECIPE", recipe)
        yield


def test_the_held_out_images_are_none_that_train(fashion, small):
    items, held_out = anomalies.one_class(fashion, 3)
    assert (len(items.train), len(held_out)) == (20, 10)
    assert torch.cat([items.train, held_out])[:, 0, 3].min() >= 180
    together = torch.cat([items.train, held_out]).flatten(1)
    assert len(together.unique(dim=0)) == 30


def test_a_class_is_judged_and_its_page_and_picture_written(fashion, small, tmp_path):
    found = anomalies.judged(fashion, 3, tmp_path / "class-3")
    assert set(found["auroc"]) == set(anomalies.METHODS)
    assert found["auroc"]["recon"] > 0.9
    assert found["flagged"]["nap"]["held out"]["items"] == 5
    assert found["flagged"]["nap"]["test"]["items"] == 4
    assert (tmp_path / "class-3/bundle/activations.onnx").is_file()
    table = {"figure": "F1", "rows": 9, "anomalies": 2, "figures": {"default": [0.5, 0.7]},
             "published": {"GOAD": 0.7}}  # fmt: skip
    for part in anomalies.PARTS:
        content = table if part in odds.TABLES else found
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anomalies, "PICTURED", (3,))
        patch.setattr(anomalies, "VALIDATED", (3,))
        text = anomalies.report(fashion, tmp_path)
    assert f"| {found['auroc']['nap']:.3f} |" in text
    assert "default 0.600 ± 0.141" in text
    assert "default is behind GOAD." in text
    assert (tmp_path / "heatmaps.png").stat().st_size > 1000
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["mean_auroc"]["nap"] == pytest.approx(found["auroc"]["nap"])
    assert report["validation"]["Dress"]["recon"] > 0.9
    assert {row["items"] for row in report["false_positives"]} == {50, 40}


def test_intervals_of_what_is_flagged_are_those_of_clopper_and_pearson():
    counts = {"items": 100, "0.01": 1, "0.05": 0}
    each = {"flagged": {m: {"held out": counts, "test": counts} for m in ("default", "nap")}}
    row, none, *_ = anomalies.false_positives([each])
    assert (row["rate"], row["low"], row["high"]) == pytest.approx((0.01, 0.000253, 0.054459), 1e-3)
    assert (none["rate"], none["low"]) == (0, 0)
    low, high = row["expected"]
    assert low <= 0.01 <= high


def test_half_of_the_normal_rows_train_and_all_anomalies_are_judged():
    x = np.arange(40, dtype=np.float32)[:, None]
    strange = np.arange(40) % 4 == 0
    train, test, flags = odds.split("F1", x, strange, seed=0)
    assert len(train) == 15
    assert flags.sum() == 10
    assert sorted([*train[:, 0], *test[:, 0]]) == list(range(40))
    np.testing.assert_array_equal(test[:, 0] % 4 == 0, flags)


def test_sixty_per_cent_of_a_contaminated_table_train():
    x = np.arange(50, dtype=np.float32)[:, None]
    strange = np.arange(50) % 5 == 0
    train, test, flags = odds.split("AUROC", x, strange, seed=0)
    assert (len(train), len(test)) == (30, 20)
    np.testing.assert_array_equal(test[:, 0] % 5 == 0, flags)


def test_f1_flags_as_many_as_there_are_anomalies():
    strange = np.array([True, True, False, False])
    assert odds.figure_of("F1", strange, np.array([3.0, 0, 2, 1])) == 0.5


def test_a_table_that_was_altered_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"download https://.*38_thyroid\.npz"):
        odds.read("thyroid", tmp_path)
    (tmp_path / "38_thyroid.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="expected SHA-256 8de161b3"):
        odds.read("thyroid", tmp_path)


def test_a_table_is_judged_by_every_seed_and_trained_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 4)).astype(np.float32)
    x[:20] += 30
    monkeypatch.setattr(odds, "read", lambda name, folder: (x, np.arange(120) < 20))
    monkeypatch.setattr(odds, "SEEDS", range(1))
    monkeypatch.setattr(odds, "RECIPE", odds.RECIPE | {"epochs": 5, "batch": 10})
    found = odds.judged("thyroid", None, tmp_path)
    assert found["figures"]["default"] == [1.0]
    assert (found["rows"], found["anomalies"]) == (120, 20)
    assert bundle.read(tmp_path / "seed-0/bundle").features.names == ("x0", "x1", "x2", "x3")
    monkeypatch.setattr("train.experiments.run.train_model", None)
    assert odds.judged("thyroid", None, tmp_path) == found
