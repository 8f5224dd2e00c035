import numpy as np
import pytest
import torch

from train.data.dataset import Data
from train.model.models import VAE
from train.stages import mixture


def test_the_mixture_is_nearer_to_the_posteriors_than_the_normal():
    """Two clusters of items, far from the origin in latent space, come back as two Gaussians."""
    model = VAE((1, 2, 2), 2, architecture="mlp", widths=())
    with torch.no_grad():
        model.encoder[1].weight.zero_()
        model.encoder[1].weight[0, 0] = 20.0
        model.encoder[1].bias.copy_(torch.tensor([-10.0, 5.0, -4.0, -2.0]))
    items = torch.zeros(400, 1, 2, 2, dtype=torch.uint8)
    items[:100, 0, 0, 0] = 255
    z = mixture.sampled_posteriors(model.eval(), items, seed=1)
    table = mixture.fit_mixture(z, components=2, seed=1)
    order = np.argsort(table.means[:, 0])
    np.testing.assert_allclose(table.means[order], [[-10, 5], [10, 5]], atol=0.15)
    np.testing.assert_allclose(table.weights[order], [0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(table.logvars, [[-4, -2]] * 2, atol=0.4)


def test_few_items_get_few_components():
    z = np.random.default_rng(0).standard_normal((60, 2), np.float32)
    assert mixture.fit_mixture(z, components=256).components == 3


def test_each_class_gets_a_mixture_of_its_own_items():
    torch.manual_seed(0)
    labels = torch.arange(120) % 2
    images = (255 * labels).to(torch.uint8)[:, None, None, None].expand(120, 1, 8, 8)
    data = Data("halves", "image", images, images, "MIT", labels, labels, ("dark", "bright"))
    model = VAE((1, 8, 8), 2, widths=[4], classes=2).eval()
    table = mixture.generation_prior(model, data, "fitted", 4, 0)
    assert table.weights.reshape(2, 2).sum(1) == pytest.approx(0.5)
    for k in (0, 1):
        z = mixture.sampled_posteriors(model, images[labels == k], 0)
        alone = mixture.fit_mixture(z, 2, 0)
        np.testing.assert_allclose(table.means[2 * k : 2 * k + 2], alone.means, atol=1e-6)
