import numpy as np
import pytest
import torch

from train import checkpoint
from train.__main__ import main
from train.fit import batch_rows, corrupt, cosine


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    """Eighty images of one bright square each."""
    path = tmp_path_factory.mktemp("data") / "squares.npy"
    rng = np.random.default_rng(0)
    images = np.zeros((80, 8, 8), np.uint8)
    for image, (row, column) in zip(images, rng.integers(0, 5, (80, 2)), strict=True):
        image[row : row + 3, column : column + 3] = 255
    np.save(path, images)
    return path


def train(array, out, *more):
    shape = ["--widths", "4", "6", "--latent-dim", "3", "--components", "2"]
    main(["--data", str(array), "--out", str(out), "--batch", "8", "--epochs", "3", *shape, *more])
    return checkpoint.read(out / "last.pt")


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def whole(array, tmp_path_factory):
    return train(array, tmp_path_factory.mktemp("whole"), "--sharpen", "1")


def test_a_resumed_run_reaches_the_same_weights(array, whole, tmp_path):
    stopped = train(array, tmp_path, "--stop-after", "1")
    assert stopped["step"] == 9
    assert not same(stopped["model"], whole["model"])
    resumed = train(array, tmp_path, "--resume", "--sharpen", "1")
    for key in ("model", "ema"):
        assert same(resumed[key], whole[key])
    assert same(resumed["sharp"]["ema"], whole["sharp"]["ema"])
    assert all(torch.equal(a, b) for a, b in zip(resumed["prior"], whole["prior"], strict=True))


def test_another_seed_is_another_run(array, whole, tmp_path):
    assert not same(train(array, tmp_path, "--seed", "5")["model"], whole["model"])


def test_sharpening_touches_the_decoder_alone(whole):
    first, sharp = checkpoint.build(whole["architecture"]), checkpoint.averaged(whole)
    first.load_state_dict(whole["ema"])
    assert same(first.encoder.state_dict(), sharp.encoder.state_dict())
    assert not same(first.decoder.state_dict(), sharp.decoder.state_dict())


def test_training_lowers_the_loss_it_is_for(array, tmp_path):
    changes = ["--epochs", "40", "--noise", "0", "--beta", "0.1"]
    changes += ["--architecture", "mlp", "--widths", "64"]
    short = train(array, tmp_path / "short", *changes, "--stop-after", "1")
    long = train(array, tmp_path / "long", *changes)
    x = long["samples"].float() / 255

    def error(content):
        model = checkpoint.build(content["architecture"])
        model.load_state_dict(content["model"])
        return (model.decode(model.encode(x)[0]) - x).square().mean()

    assert error(long) < 0.7 * error(short), (error(long), error(short))


def test_a_checkpoint_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})

    def fails(content, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"step": 2})
    assert checkpoint.read(path) == {"step": 1}


def test_each_epoch_visits_every_item_once_in_a_new_order():
    epochs = [
        torch.cat([batch_rows(12, 4, step, seed=1) for step in range(first, first + 3)])
        for first in (0, 3)
    ]
    assert all(epoch.sort().values.tolist() == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_corruption_adds_the_noise_that_it_says():
    torch.manual_seed(0)
    x = torch.zeros(4000, 1, 8, 8)
    sigma = corrupt(x, noise=0.5, share=0.25).flatten(1).std(1)
    assert (sigma > 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert sigma.max() == pytest.approx(0.5, abs=0.15)
    assert sigma[sigma > 0].mean() == pytest.approx(0.25, abs=0.03)


def test_the_rate_rises_then_falls_to_zero():
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[9] == 1
    assert factors[100] == pytest.approx(0)
    assert max(factors) == 1
    assert factors[50] > factors[80]


def test_the_log_is_written(array, tmp_path):
    train(array, tmp_path, "--stop-after", "1")
    header, *rows = (tmp_path / "log/version_0/metrics.csv").read_text().splitlines()
    assert {"recon", "kl", "elbo", "test_elbo", "step"} <= set(header.split(","))
    assert rows
