import numpy as np
import pytest
import torch

from train.__main__ import main
from train.models import VAE
from train.sharpen import Discriminator, feature_distance, log_sigma


def test_a_score_for_every_patch():
    features, score = Discriminator(3)(torch.rand(2, 3, 28, 28))
    assert score.shape == (2, 1, 7, 7)
    assert [f.shape[1] for f in features] == [64, 128, 128]


def test_features_of_the_real_are_a_target_not_a_weight():
    real, fake = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    feature_distance([real], [fake]).backward()
    assert real.grad is None
    assert fake.grad is not None


def test_sigma_is_the_root_mean_squared_error():
    model = VAE((1, 4, 4), 2, architecture="mlp", widths=())
    mu = logvar = torch.full((50, 2), -30.0)
    items = torch.randint(0, 256, (50, 1, 4, 4)).to(torch.uint8)
    x_hat = model.decode(mu)
    expected = (x_hat - items / 255).square().mean().sqrt().log()
    assert log_sigma(model, model.decoder, mu, logvar, items) == pytest.approx(
        expected.item(), abs=1e-4
    )


def test_vectors_are_not_sharpened(tmp_path):
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((50, 3)))
    arguments = f"--data {tmp_path}/v.npy --out {tmp_path}/run --epochs 1 --batch 5"
    more = "--latent-dim 2 --components 2 --sharpen 1"
    with pytest.raises(ValueError, match="expected images to sharpen"):
        main(f"{arguments} {more}".split())
