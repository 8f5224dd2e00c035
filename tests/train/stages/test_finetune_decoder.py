import numpy as np
import pytest
import torch

from train.__main__ import main
from train.model.models import VAE
from train.stages.finetune_decoder import Discriminator, decoder_loss, discriminator_loss, log_sigma


def test_a_score_for_every_patch():
    features, score = Discriminator(3)(torch.rand(2, 3, 28, 28))
    assert score.shape == (2, 1, 7, 7)
    assert [f.shape[1] for f in features] == [64, 96, 96]


def test_the_decoder_s_loss_wants_scores_features_and_pixels():
    """A perfect x_hat pays nothing but its score; gradients reach x_hat alone."""
    discriminator = Discriminator(1).eval().requires_grad_(False)
    x, draws = torch.rand(3, 1, 8, 8), torch.rand(2, 1, 8, 8)
    x_hat = torch.cat([x, draws]).requires_grad_()
    loss, pixels = decoder_loss(discriminator, x, x_hat, feature_weight=10, pixel_weight=40)
    assert pixels == 0
    torch.testing.assert_close(loss, -discriminator(x_hat)[1].mean())
    worse, pixels = decoder_loss(discriminator, x, x_hat + 0.1, feature_weight=0, pixel_weight=40)
    assert pixels.item() == pytest.approx(0.01, rel=1e-4)
    worse.backward()
    assert x_hat.grad.abs().sum() > 0


def test_the_discriminator_learns_to_tell():
    torch.manual_seed(0)
    discriminator = Discriminator(1)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    x, x_hat = torch.ones(16, 1, 8, 8), torch.zeros(16, 1, 8, 8)
    losses = []
    for _ in range(100):
        losses.append(discriminator_loss(discriminator, x, x_hat))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0], losses[-1]


def test_sigma_is_the_root_mean_squared_error():
    model = VAE((1, 4, 4), 2, architecture="mlp", widths=())
    mu = logvar = torch.full((50, 2), -30.0)
    items = torch.randint(0, 256, (50, 1, 4, 4)).to(torch.uint8)
    x_hat = model.decode(mu)
    expected = (x_hat - items / 255).square().mean().sqrt().log()
    assert log_sigma(model, model.decoder, mu, logvar, items) == pytest.approx(
        expected.item(), abs=1e-4
    )


@pytest.mark.parametrize(
    ("array", "option", "message"),
    [
        (np.zeros((50, 3)), "", "expected images or text to sharpen"),
        (np.zeros((50, 8, 8), np.uint8), "--autoencoder", "expected a VAE to sharpen"),
    ],
)
def test_a_decoder_that_cannot_be_finetuned_is_refused_before_training(
    tmp_path, array, option, message
):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        main(f"--data {tmp_path}/a.npy --out {tmp_path}/run --sharpen 1 {option}".split())
    assert not (tmp_path / "run").exists()
