"""The encoder alone learns, with the final decoder; then the mixture is fitted again."""

import dataclasses

import numpy as np
import pytest
import torch

from train.__main__ import main
from train.data.dataset import as_float
from train.data.datasets import load
from train.export.export import export
from train.model.checkpoint import Checkpoint
from train.model.models import build
from train.stages import mixture
from train.stages.finetune_encoder import final_model, recon
from train.stages.loop import corrupt


def train(squares, out, *more):
    small = "--batch 8 --epochs 3 --architecture mlp --widths 32 --latent-dim 3 --components 2"
    main(["--data", str(squares), "--out", str(out), *small.split(), *more])
    return Checkpoint.from_file(out / "last.pt")


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def fitted(checkpoint, squares):
    """Return the mixture that is fitted to the posteriors of the checkpoint's encoder."""
    data = load("squares", squares, None, 0)
    return mixture.generation_prior(checkpoint.averaged_model(), data, "fitted", 2, 0)


@pytest.fixture(scope="module")
def whole(squares, tmp_path_factory):
    return train(squares, tmp_path_factory.mktemp("whole"), "--sharpen", "1", "--attune", "2")


def test_the_encoder_alone_learns(whole):
    before = dataclasses.replace(whole, finetune_encoder=None).averaged_model()
    after = whole.averaged_model()
    assert same(before.decoder.state_dict(), after.decoder.state_dict())
    assert not same(before.encoder.state_dict(), after.encoder.state_dict())
    assert after.log_sigma != before.log_sigma


def test_the_deployed_elbo_rises(squares, tmp_path):
    """The items are noisy; the prior is the mixture, and the decoder the sharpened one."""
    checkpoint = train(squares, tmp_path, "--epochs", "40", "--sharpen", "1", "--attune", "40")
    x = as_float(load("squares", squares, None, 0).train)

    def loss(checkpoint):
        model = final_model(checkpoint)
        torch.manual_seed(0)
        with torch.no_grad():
            x_hat, kl = model(corrupt(x, 0.5, share=1.0))
        return (recon(model, x, x_hat) + kl).mean()

    without = dataclasses.replace(checkpoint, finetune_encoder=None)
    assert loss(checkpoint) < loss(without) - 1


def test_a_stage_that_was_cut_off_reaches_the_same_weights(squares, whole, tmp_path, cut_off):
    with cut_off("finetune_encoder"):
        train(squares, tmp_path, "--sharpen", "1", "--attune", "2")
    assert Checkpoint.from_file(tmp_path / "last.pt").finetune_encoder.step == 9
    resumed = train(squares, tmp_path, "--resume", "--sharpen", "1", "--attune", "2")
    prior, resumed, straight = resumed.prior, resumed.finetune_encoder, whole.finetune_encoder
    for part in ("encoder", "ema"):
        assert same(resumed.parts[part], straight.parts[part])
    np.testing.assert_array_equal(prior.means, whole.prior.means)
    for fact in ("step", "log_sigma"):
        assert getattr(resumed, fact) == getattr(straight, fact)


def test_a_decoder_that_is_sharpened_on_leaves_an_encoder_that_must_learn_again(squares, tmp_path):
    train(squares, tmp_path, "--sharpen", "1", "--attune", "1")
    longer = train(squares, tmp_path, "--resume", "--sharpen", "2")
    assert longer.finetune_encoder is None
    np.testing.assert_array_equal(longer.prior.means, fitted(longer, squares).means)


def test_the_mixture_is_that_of_the_finetuned_encoder(squares, whole):
    np.testing.assert_array_equal(whole.prior.means, fitted(whole, squares).means)
    before = dataclasses.replace(whole, finetune_encoder=None)
    assert not np.array_equal(whole.prior.means, fitted(before, squares).means)


def test_it_ships(whole, tmp_path):
    bundle = export(whole, tmp_path / "bundle", "squares")
    assert bundle.provenance["attune_steps"] == whole.finetune_encoder.step == 18
    assert bundle.likelihood["sigma"] == pytest.approx(np.exp(whole.finetune_encoder.log_sigma))


def test_bernoulli_images_and_a_standard_normal_have_the_stage_too(squares, tmp_path):
    options = "--likelihood bernoulli --prior normal --attune 1"
    model = final_model(train(squares, tmp_path, *options.split()))
    assert model.prior is None
    mu, _ = mixture.encode(model, load("squares", squares, None, 0).train)
    assert torch.isfinite(mu).all()


def test_an_item_in_noise_weighs_no_more_than_a_clean_one():
    """The gradient in x_hat falls with the item's own error, as that of a logarithm does."""
    x = torch.zeros(2, 1, 4, 4)
    x_hat = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.5)]).requires_grad_()
    model = build({"variational": True, "x_shape": (1, 8, 8), "widths": [4]})
    nats = recon(model, x, x_hat)
    torch.testing.assert_close(nats, 16 * torch.tensor([0.1, 0.5]).log())
    nats.sum().backward()
    torch.testing.assert_close(x_hat.grad[:, 0, 0, 0] * torch.tensor([0.1, 0.5]), torch.ones(2))


@pytest.mark.parametrize(
    ("array", "option", "message"),
    [
        (np.zeros((50, 3)), "", "expected a VAE of images to attune, got vector data"),
        (np.zeros((50, 8, 8), np.uint8), "--autoencoder", "got an autoencoder"),
    ],
)
def test_an_encoder_that_cannot_be_finetuned_is_refused_before_training(
    tmp_path, array, option, message
):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        main(f"--data {tmp_path}/a.npy --out {tmp_path}/run --attune 1 {option}".split())
    assert not (tmp_path / "run").exists()
