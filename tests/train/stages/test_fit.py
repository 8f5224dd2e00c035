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
from train.model.checkpoint import Checkpoint
from train.model.models import VAE, build
from train.model.recipe import Recipe
from train.stages.fit import Fit
from train.stages.loop import Run, make_fabric


def train(squares, out, *more):
    shape = ["--widths", "4", "6", "--latent-dim", "3", "--components", "2"]
    main(
        ["--data", str(squares), "--out", str(out), "--batch", "8", "--epochs", "3", *shape, *more]
    )
    return Checkpoint.from_file(out / "last.pt")


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def sharp(checkpoint):
    return checkpoint.finetune_decoder.parts


@pytest.fixture(scope="module")
def whole(squares, tmp_path_factory):
    return train(squares, tmp_path_factory.mktemp("whole"), "--sharpen", "1")


def test_a_resumed_run_reaches_the_same_weights(squares, whole, tmp_path):
    stopped = train(squares, tmp_path, "--stop-after", "1")
    assert stopped.step == 9
    assert not same(stopped.fit.parts["model"], whole.fit.parts["model"])
    resumed = train(squares, tmp_path, "--resume", "--sharpen", "1")
    for key in ("model", "ema"):
        assert same(resumed.fit.parts[key], whole.fit.parts[key])
    assert same(sharp(resumed)["ema"], sharp(whole)["ema"])
    for part in ("weights", "means", "logvars"):
        np.testing.assert_array_equal(getattr(resumed.prior, part), getattr(whole.prior, part))


def test_a_finished_stage_resumed_to_sharpen_is_the_same_run(squares, whole, tmp_path):
    first = train(squares, tmp_path)
    assert first.finetune_decoder is None
    resumed = train(squares, tmp_path, "--resume", "--sharpen", "1")
    assert resumed.step == first.step
    assert same(sharp(resumed)["ema"], sharp(whole)["ema"])
    again = train(squares, tmp_path, "--resume", "--sharpen", "1")
    assert same(sharp(again)["ema"], sharp(whole)["ema"])


def test_a_sharpening_that_was_cut_off_reaches_the_same_weights(squares, tmp_path, cut_off):
    straight = train(squares, tmp_path / "straight", "--sharpen", "2")
    with cut_off("finetune_decoder"):
        train(squares, tmp_path / "cut", "--sharpen", "2")
    assert Checkpoint.from_file(tmp_path / "cut/last.pt").finetune_decoder.step == 9
    resumed = train(squares, tmp_path / "cut", "--resume", "--sharpen", "2")
    assert resumed.finetune_decoder.step == 18
    for part in ("decoder", "discriminator", "ema"):
        assert same(sharp(resumed)[part], sharp(straight)[part])
    assert resumed.finetune_decoder.log_sigma == straight.finetune_decoder.log_sigma


def test_more_epochs_drop_the_prior_of_the_shorter_run(squares, tmp_path):
    short = train(squares, tmp_path, "--sharpen", "1")
    longer = train(squares, tmp_path, "--resume", "--epochs", "4")
    assert longer.step == 36
    assert longer.finetune_decoder is None
    assert not np.array_equal(longer.prior.means, short.prior.means)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--resume --latent-dim 4", "latent_dim = 3, got 4"),
        ("--resume --batch 4", "batch = 8, got 4"),
        ("--resume --epochs 2", "at most 18 steps.*pass more --epochs"),
        ("", "pass --resume to go on from it, or another --out"),
    ],
)
def test_another_run_is_not_continued_nor_replaced(squares, whole, tmp_path, options, message):
    whole.save(tmp_path / "last.pt")
    with pytest.raises(ValueError, match=message):
        train(squares, tmp_path, *options.split())
    assert Checkpoint.from_file(tmp_path / "last.pt").step == 27


def test_other_data_do_not_continue_a_run(squares, whole, tmp_path):
    whole.save(tmp_path / "last.pt")
    np.save(tmp_path / "other.npy", 255 - np.load(squares))
    with pytest.raises(
        ValueError, match="expected the data that the run was begun with, 'squares'"
    ):
        train(tmp_path / "other.npy", tmp_path, "--resume")


def test_a_run_that_never_began_cannot_resume(squares, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a checkpoint.*last\.pt"):
        train(squares, tmp_path, "--resume")


def test_two_processes_train_one_model(squares, tmp_path):
    """All stages run under Fabric's DDP, started as a user would; one process writes."""
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
    checkpoint = Checkpoint.from_file(tmp_path / "last.pt")
    later = checkpoint.finetune_decoder.step, checkpoint.finetune_encoder.step
    assert [checkpoint.step, *later] == [9, 9, 9]
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_another_seed_is_another_run(squares, whole, tmp_path):
    other = train(squares, tmp_path, "--seed", "5")
    assert not same(other.fit.parts["model"], whole.fit.parts["model"])


def test_sharpening_touches_the_decoder_alone(whole):
    first, final = whole.fitted_model(), whole.averaged_model()
    assert same(first.encoder.state_dict(), final.encoder.state_dict())
    assert not same(first.decoder.state_dict(), final.decoder.state_dict())


def test_training_lowers_the_loss_it_is_for(squares, tmp_path):
    changes = ["--epochs", "40", "--noise", "0", "--beta", "0.1"]
    changes += ["--architecture", "mlp", "--widths", "64"]
    short = train(squares, tmp_path / "short", *changes, "--stop-after", "1")
    long = train(squares, tmp_path / "long", *changes)
    x = long.samples.float() / 255

    def error(checkpoint):
        model = build(checkpoint.architecture)
        model.load_state_dict(checkpoint.fit.parts["model"])
        return (model.decode(model.encode(x)[0]) - x).square().mean()

    assert error(long) < 0.7 * error(short), (error(long), error(short))


def test_the_log_is_written(squares, tmp_path):
    train(squares, tmp_path, "--stop-after", "1")
    header, *rows = (tmp_path / "log/version_0/metrics.csv").read_text().splitlines()
    assert {"recon", "kl", "elbo", "test_elbo", "step"} <= set(header.split(","))
    assert rows


def test_a_conditional_decoder_learns_its_classes(tmp_path):
    labels = torch.arange(64) % 2
    images = (200 * labels + 20).to(torch.uint8)[:, None, None, None].expand(64, 1, 8, 8)
    data = Data("halves", "image", images, images, "MIT", labels, labels, ("dark", "bright"))
    architecture = {"x_shape": [1, 8, 8], "latent_dim": 2, "widths": [4], "classes": 2}
    wanted = Checkpoint(
        {"variational": True, **architecture},
        Recipe(epochs=30, batch=16, noise=0.0, learning_rate=0.02),
        data.facts(),
        images[:8],
    )
    run = Run(make_fabric(tmp_path, "csv", "32-true", "cpu"), wanted, data, tmp_path)
    Fit().run(run)
    model = VAE(**architecture)
    model.load_state_dict(run.checkpoint.fit.parts["model"])
    with torch.inference_mode():
        dark, bright = model.decode(torch.zeros(2, 2), torch.tensor([0, 1])).mean((1, 2, 3))
    assert bright - dark > 0.3


def test_classes_need_labels(squares, tmp_path):
    with pytest.raises(InputError, match="expected labelled data, got 'squares' without labels"):
        train(squares, tmp_path, "--conditional")
