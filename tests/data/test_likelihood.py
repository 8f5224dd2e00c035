"""-log p(x|z), against scipy's densities."""

import math

import numpy as np
import pytest
from scipy import stats

from edgevae.data import likelihood

GAUSSIAN = {"name": "gaussian", "sigma": 0.3}
BERNOULLI = {"name": "bernoulli"}
SIGMAS = {"name": "gaussian", "sigma": [0.1, 0.2, 0.3, 1.0, 2.0, 10.0]}
NAMES = [GAUSSIAN, SIGMAS, BERNOULLI, {"name": "categorical"}]


def deviance(x, x_hat, name):
    values = np.empty(x.shape, np.float32)
    likelihood.Deviance(name, x.shape[1:]).fill(x, x_hat, values)
    return values


@pytest.fixture
def x():
    return np.random.default_rng(0).random((4, 2, 3), np.float32)


@pytest.fixture
def x_hat():
    return np.random.default_rng(1).random((4, 2, 3), np.float32)


def test_a_gaussian_of_one_sigma(x, x_hat):
    nats = likelihood.nats(x, x_hat, GAUSSIAN)
    expected = -stats.norm.logpdf(x.astype(float), x_hat.astype(float), 0.3)
    assert nats.dtype == np.float64
    np.testing.assert_allclose(nats, expected, rtol=1e-12)


def test_a_gaussian_of_a_sigma_for_each_value(x, x_hat):
    sigma = [0.1, 0.2, 0.3, 1.0, 2.0, 10.0]
    nats = likelihood.nats(x, x_hat, {"name": "gaussian", "sigma": sigma})
    scale = np.reshape(sigma, (2, 3))
    expected = -stats.norm.logpdf(x.astype(float), x_hat.astype(float), scale)
    np.testing.assert_allclose(nats, expected, rtol=1e-12)


def test_a_bernoulli_of_bits(x_hat):
    bits = np.random.default_rng(2).integers(0, 2, x_hat.shape)
    nats = likelihood.nats(bits.astype(np.float32), x_hat, BERNOULLI)
    np.testing.assert_allclose(nats, -stats.bernoulli.logpmf(bits, x_hat.astype(float)), rtol=1e-9)


def test_a_bernoulli_that_is_sure_and_wrong_costs_a_finite_number():
    nats = likelihood.nats(np.ones((1, 1)), np.zeros((1, 1)), BERNOULLI)
    assert nats[0, 0] == pytest.approx(-math.log(1e-7))


def test_recon_is_the_sum_of_an_item_s_values(x, x_hat):
    nats = likelihood.nats(x, x_hat, GAUSSIAN)
    np.testing.assert_allclose(
        likelihood.recon(x, x_hat, GAUSSIAN), [item.sum() for item in nats], rtol=1e-12
    )


def test_deviance_of_a_gaussian_is_half_the_squared_error_in_sigmas(x, x_hat):
    expected = ((x.astype(float) - x_hat) / 0.3) ** 2 / 2
    np.testing.assert_allclose(deviance(x, x_hat, GAUSSIAN), expected, rtol=1e-5, atol=1e-9)


def test_deviance_of_a_bernoulli_is_the_divergence_of_two(x, x_hat):
    def both(p):
        return np.stack([p, 1 - p.astype(float)])

    expected = stats.entropy(both(x), both(x_hat))
    np.testing.assert_allclose(deviance(x, x_hat, BERNOULLI), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES, ids=lambda each: each["name"])
def test_deviance_is_least_and_0_at_x_hat_equal_to_x(name, x, x_hat):
    assert deviance(x, x, name).max() == 0
    assert deviance(x, x_hat, name).min() >= 0


@pytest.mark.parametrize("name", NAMES, ids=lambda each: each["name"])
@pytest.mark.parametrize("rows", [3, 20_000])  # one block and several
@pytest.mark.parametrize("certain", [False, True])
def test_deviance_and_recon_are_sums_over_each_item(name, rows, certain):
    x, x_hat = np.random.default_rng(3).random((2, rows, 2, 3), np.float32)
    x = x.round() if certain else x
    values = np.empty_like(x)
    each, recon = likelihood.Deviance(name, x.shape[1:]).fill(x, x_hat, values)
    np.testing.assert_allclose(each, values.sum((1, 2), dtype=float), rtol=1e-5)
    np.testing.assert_allclose(recon, likelihood.recon(x, x_hat, name), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES, ids=lambda each: each["name"])
def test_the_order_of_x_in_memory_does_not_matter(name, x, x_hat):
    turned = np.asfortranarray(x)
    np.testing.assert_array_equal(deviance(turned, x_hat, name), deviance(x, x_hat, name))
