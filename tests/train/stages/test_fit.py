import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevae.errors import InputError
from train.__main__ import main
from train.data.dataset import Data
from train.model import checkpoint
from train.model.models import VAE
from train.stages.fit import batch_rows, corrupt, cosine, fabric, fit, own_share


def train(squares, out, *more):
    shape = ["--widths", "4", "6", "--latent-dim", "3", "--components", "2"]
    main(
        ["--data", str(squares), "--out", str(out), "--batch", "8", "--epochs", "3", *shape, *more]
    )
    return checkpoint.read(out / "last.pt")


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def whole(squares, tmp_path_factory):
    return train(squares, tmp_path_factory.mktemp("whole"), "--sharpen", "1")


def test_a_resumed_run_reaches_the_same_weights(squares, whole, tmp_path):
    stopped = train(squares, tmp_path, "--stop-after", "1")
    assert stopped["step"] == 9
    assert not same(stopped["model"], whole["model"])
    resumed = train(squares, tmp_path, "--resume", "--sharpen", "1")
    for key in ("model", "ema"):
        assert same(resumed[key], whole[key])
    assert same(resumed["sharp"]["ema"], whole["sharp"]["ema"])
    assert all(torch.equal(a, b) for a, b in zip(resumed["prior"], whole["prior"], strict=True))


def test_a_finished_stage_resumed_to_sharpen_is_the_same_run(squares, whole, tmp_path):
    first = train(squares, tmp_path)
    assert "sharp" not in first
    resumed = train(squares, tmp_path, "--resume", "--sharpen", "1")
    assert resumed["step"] == first["step"]
    assert same(resumed["sharp"]["ema"], whole["sharp"]["ema"])
    again = train(squares, tmp_path, "--resume", "--sharpen", "1")
    assert same(again["sharp"]["ema"], whole["sharp"]["ema"])


def test_a_sharpening_that_was_cut_off_reaches_the_same_weights(squares, tmp_path, cut_off):
    straight = train(squares, tmp_path / "straight", "--sharpen", "2")
    with cut_off("sharp"):
        train(squares, tmp_path / "cut", "--sharpen", "2")
    assert checkpoint.read(tmp_path / "cut/last.pt")["sharp"]["step"] == 9
    resumed = train(squares, tmp_path / "cut", "--resume", "--sharpen", "2")
    assert resumed["sharp"]["step"] == 18
    for part in ("decoder", "discriminator", "ema"):
        assert same(resumed["sharp"][part], straight["sharp"][part])
    assert resumed["sharp"]["log_sigma"] == straight["sharp"]["log_sigma"]


def test_more_epochs_drop_the_prior_of_the_shorter_run(squares, tmp_path):
    short = train(squares, tmp_path, "--sharpen", "1")
    longer = train(squares, tmp_path, "--resume", "--epochs", "4")
    assert longer["step"] == 36
    assert "sharp" not in longer
    assert not torch.equal(longer["prior"][1], short["prior"][1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--resume --latent-dim 4", "latent_dim = 3, got 4"),
        ("--resume --batch 4", "batch = 8, got 4"),
        ("--resume --epochs 2", "at most 18 steps.*give more --epochs"),
        ("", "give --resume to go on from it, or another --out"),
    ],
)
def test_another_run_is_not_continued_nor_replaced(squares, whole, tmp_path, options, message):
    checkpoint.save(tmp_path / "last.pt", whole)
    with pytest.raises(ValueError, match=message):
        train(squares, tmp_path, *options.split())
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 27


def test_other_data_do_not_continue_a_run(squares, whole, tmp_path):
    checkpoint.save(tmp_path / "last.pt", whole)
    np.save(tmp_path / "other.npy", 255 - np.load(squares))
    with pytest.raises(
        ValueError, match="expected the data that the run was begun with, 'squares'"
    ):
        train(tmp_path / "other.npy", tmp_path, "--resume")


def test_a_run_that_never_began_cannot_resume(squares, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a checkpoint.*last\.pt"):
        train(squares, tmp_path, "--resume")


def test_two_processes_train_one_model(squares, tmp_path):
    """All stages through Fabric's DDP, started as a user would; one process writes."""
    command = f"-m train --data {squares} --out {tmp_path} --batch 8"
    command += " --epochs 1 --sharpen 1 --attune 1 --widths 4 6 --latent-dim 3"
    command += " --components 2 --accelerator cpu --devices 2"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, *command.split()],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    content = checkpoint.read(tmp_path / "last.pt")
    assert [content["step"], content["sharp"]["step"], content["attuned"]["step"]] == [9, 9, 9]
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []


def test_a_batch_that_processes_cannot_share_is_refused():
    class Three:
        world_size, global_rank = 3, 1

    assert own_share(Three, 9) == slice(3, 6)
    with pytest.raises(ValueError, match="multiple of 3"):
        own_share(Three, 128)


def test_vectors_are_corrupted_in_their_own_units():
    torch.manual_seed(0)
    noise = 0.5 * torch.tensor([1e-3, 1.0, 1e3])
    spread = corrupt(torch.zeros(4000, 3), noise, share=1).std(0)
    torch.testing.assert_close(spread / spread[1], noise / noise[1], rtol=0.1, atol=0)


def test_another_seed_is_another_run(squares, whole, tmp_path):
    assert not same(train(squares, tmp_path, "--seed", "5")["model"], whole["model"])


def test_sharpening_touches_the_decoder_alone(whole):
    first, sharp = checkpoint.build(whole["architecture"]), checkpoint.averaged(whole)
    first.load_state_dict(whole["ema"])
    assert same(first.encoder.state_dict(), sharp.encoder.state_dict())
    assert not same(first.decoder.state_dict(), sharp.decoder.state_dict())


def test_training_lowers_the_loss_it_is_for(squares, tmp_path):
    changes = ["--epochs", "40", "--noise", "0", "--beta", "0.1"]
    changes += ["--architecture", "mlp", "--widths", "64"]
    short = train(squares, tmp_path / "short", *changes, "--stop-after", "1")
    long = train(squares, tmp_path / "long", *changes)
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


def test_the_log_is_written(squares, tmp_path):
    train(squares, tmp_path, "--stop-after", "1")
    header, *rows = (tmp_path / "log/version_0/metrics.csv").read_text().splitlines()
    assert {"recon", "kl", "elbo", "test_elbo", "step"} <= set(header.split(","))
    assert rows


def test_a_conditional_decoder_learns_what_it_is_told(tmp_path):
    labels = torch.arange(64) % 2
    images = (200 * labels + 20).to(torch.uint8)[:, None, None, None].expand(64, 1, 8, 8)
    data = Data("halves", "image", images, images, "MIT", labels, labels, ("dark", "bright"))
    model = VAE((1, 8, 8), 2, widths=[4], classes=2)
    engine = fabric(tmp_path, "csv", "32-true", "cpu")
    ended = fit(
        engine,
        model,
        data,
        tmp_path,
        description={},
        epochs=30,
        batch=16,
        noise=0.0,
        learning_rate=0.02,
    )
    model.load_state_dict(ended["model"])
    with torch.inference_mode():
        dark, bright = model.decode(torch.zeros(2, 2), torch.tensor([0, 1])).mean((1, 2, 3))
    assert bright - dark > 0.3


def test_classes_need_labels(squares, tmp_path):
    with pytest.raises(InputError, match="expected labelled data, got 'squares' without labels"):
        train(squares, tmp_path, "--conditional")
