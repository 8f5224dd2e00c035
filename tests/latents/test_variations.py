"""Variations come from the posterior, or from one that widens towards similar items."""

import numpy as np
import pytest
from PIL import Image

import edgevae
from edgevae import InputError, Posterior, bundle
from edgevae.latents.variations import neighbourhoods, widened
from edgevae.sampling import MixtureTable


@pytest.fixture
def grey(tiny_paths):
    return edgevae.load(tiny_paths["grey"])


@pytest.fixture
def x(grey):
    return grey.generate(3, seed=1)


@pytest.fixture
def posterior():
    rng = np.random.default_rng(0)
    mu = rng.standard_normal((5, 2, 3)).astype(np.float32)
    return Posterior(mu, np.full_like(mu, np.log(0.01)))


@pytest.fixture
def prior():
    means = np.repeat([[-4.0], [0.0], [4.0]], 6, axis=1)
    return MixtureTable([1, 2, 1], means, np.full((3, 6), np.log(0.49)))


def test_strength_1_is_the_posterior_s_own_sample(grey, x):
    z = grey.encode(x).sample(4, seed=5, start=9)
    varied = grey.vary(x, 4, seed=5, start=9)
    assert varied.shape == (3, 4, 1, 8, 8)
    np.testing.assert_allclose(varied[:, 2], grey.decode(z[2]), atol=1e-6)


def test_rows_are_the_stream_s(grey, x):
    every = grey.vary(x, 3, 2, seed=5)
    np.testing.assert_allclose(grey.vary(x[2], 3, 2, seed=5, start=2), every[2], atol=1e-6)
    assert np.abs(every[:, 0] - every[:, 1]).max() > 0.01
    assert np.abs(grey.vary(x, 3, 2, seed=6) - every).max() > 0.01


def test_strength_0_is_the_reconstruction_and_more_differs_more(grey, x):
    np.testing.assert_allclose(grey.vary(x, 2, 0.0)[:, 1], grey.reconstruct(x), atol=1e-6)
    spread = [grey.vary(x, 30, s, seed=2).std(1).mean() for s in (0.1, 0.3, 1)]
    assert spread[0] < spread[1] < spread[2]


def test_variations_have_the_type_of_the_input(grey, x):
    image = Image.fromarray((x[0, 0] * 255).astype(np.uint8))
    images = grey.vary(image, 3, seed=1)
    assert [(type(each), each.size) for each in images] == [(Image.Image, (8, 8))] * 3
    mixed = grey.vary([image, x[1]], 2, seed=1)
    assert [len(each) for each in mixed] == [2, 2]
    assert mixed[1][0].shape == (1, 8, 8)
    pixels = np.asarray(image)[None, ..., None]
    assert grey.vary(pixels, 1).shape == (1, 1, 8, 8, 1)
    assert grey.vary(pixels, 1).dtype == np.uint8
    assert grey.vary(x[:0], 2).shape == (0, 2, 1, 8, 8)
    assert grey.vary([], 2) == []


def test_at_2_the_noise_is_the_geometric_mean(posterior, prior):
    wide = widened(posterior, prior, 2)
    np.testing.assert_allclose(np.exp(wide.logvar / 2), np.sqrt(0.1 * 0.7), rtol=1e-5)


def test_a_wide_variation_is_a_draw_of_the_neighbourhood(posterior, prior):
    means, _ = neighbourhoods(posterior.mu.reshape(5, 6), prior)
    np.testing.assert_array_equal(means, 0)  # mu is near the middle one
    wide = widened(posterior, prior, 1e6)
    np.testing.assert_allclose(wide.logvar, np.log(0.49), rtol=1e-4)
    assert np.abs(wide.mu).max() <= 0.15 * np.abs(posterior.mu).max()


def test_the_variance_of_the_neighbourhood_is_kept(prior):
    """Items with the variance of their component keep it after any variation."""
    rng = np.random.default_rng(1)
    z = (0.7 * rng.standard_normal((20_000, 6))).astype(np.float32)
    items = Posterior(z, np.full_like(z, np.log(0.01)))
    for strength in (1.5, 3, 10):
        varied = widened(items, prior, strength).sample(seed=3)
        assert varied.std() == pytest.approx(np.sqrt(0.49 + 0.01), rel=0.02)


def test_a_standard_normal_prior_is_one_neighbourhood(posterior):
    wide = widened(posterior, None, 2)
    np.testing.assert_allclose(np.exp(wide.logvar), 0.1, rtol=1e-5)
    np.testing.assert_allclose(wide.mu, np.sqrt(1 - 0.09) * posterior.mu, rtol=1e-5)


@pytest.mark.parametrize(
    ("n", "strength", "says"),
    [
        (0, 1, "n: expected a whole number of at least 1|n: expected a whole number at least 1"),
        (1, -1, "strength: expected a finite number of at least 0"),
        (1, float("nan"), "strength: expected a finite"),
        (1, "2", "strength: expected a finite"),
    ],
)
def test_an_invalid_strength_is_refused(grey, x, n, strength, says):
    with pytest.raises(InputError, match=says):
        grey.vary(x, n, strength)


def test_an_autoencoder_has_nothing_to_vary(tinies, tmp_path):
    made = tinies["grey"].write(tmp_path / "b", model="autoencoder", prior=None)
    with pytest.raises(InputError, match="no posterior to draw others from"):
        edgevae.load(made.path).vary(np.zeros((1, 8, 8), np.float32), 2)
    assert bundle.read(made.path).prior == "none"
