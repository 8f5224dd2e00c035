"""A posterior gives samples of the stream, and its divergence from the prior."""

import math

import numpy as np
import pytest

from edgevae import Posterior, sampling
from edgevae.errors import InputError


def test_kl_is_the_integral_of_q_log_q_over_p():
    """Compare with a sum over a fine grid, for one dimension at a time."""
    mu = np.array([[[0.0, 1.5], [-2.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)
    logvar = np.array([[[0.0, -1.0], [0.5, 1e-4]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)
    t = np.linspace(-30, 30, 60_001)
    expected = []
    for m, v in zip(mu.reshape(2, 4), logvar.reshape(2, 4), strict=True):
        log_q = -0.5 * ((t - m[:, None]) ** 2 / np.exp(v[:, None]) + v[:, None])
        integrand = np.exp(log_q) / math.sqrt(2 * math.pi) * (log_q + 0.5 * t**2)
        expected.append(integrand.sum() * (t[1] - t[0]))
    kl = Posterior(mu, logvar).kl()
    assert kl.dtype == np.float64
    np.testing.assert_allclose(kl, expected, atol=1e-5)
    assert kl[1] == 0


def test_kl_of_a_small_logvar_keeps_its_digits():
    logvar = np.array([[1e-5]], np.float32)
    kl = Posterior(np.zeros((1, 1), np.float32), logvar).kl()
    np.testing.assert_allclose(kl, 1e-10 / 4, rtol=1e-3)


def test_a_posterior_is_shown_by_its_size():
    assert repr(Posterior(*np.zeros((2, 64, 4, 8)))) == "Posterior(n=64, latent_shape=(4, 8))"


def test_posterior_samples_are_reparameterized():
    posterior = Posterior(*np.random.default_rng(0).standard_normal((2, 4, 2, 3), np.float32))
    mu, logvar = (a.reshape(4, 6) for a in (posterior.mu, posterior.logvar))
    expected = sampling.reparameterize(mu, logvar, seed=5, start=2, draws=3)
    actual = posterior.sample(3, seed=5, start=2)
    assert actual.shape == (3, 4, 2, 3)
    np.testing.assert_array_equal(actual.reshape(3, 4, 6), expected)
    np.testing.assert_array_equal(posterior.sample(seed=5, start=2), actual[0])


def test_kl_adds_up_over_dimensions():
    posterior = Posterior(*np.random.default_rng(0).standard_normal((2, 4, 2, 3), np.float32))
    by_dimension = posterior.kl_by_dimension()
    assert by_dimension.shape == (4, 2, 3)
    np.testing.assert_allclose(posterior.kl(), by_dimension.sum((1, 2)), rtol=1e-6)


@pytest.mark.parametrize("draws", [0, 1.5, "2"])
def test_draws_are_a_positive_whole_number(draws):
    with pytest.raises(InputError, match="draws: expected a whole number"):
        Posterior(*np.zeros((2, 1, 3), np.float32)).sample(draws)
