"""Each method gives the scores of its formula, in closed form or by scipy."""

import numpy as np
import pytest
from scipy import stats
from tiny import Linear

import edgevae
from edgevae import bundle, scoring
from edgevae.errors import InputError
from edgevae.scoring import methods

SIGMA = Linear.sigma


def moments(rows):
    """Return the mean and the covariance of rows, as of a maximum likelihood Gaussian."""
    return rows.mean(0), np.cov(rows.T, bias=True)


def evidence(linear, x):
    c = linear.weights["x_hat"].astype(float)
    return stats.multivariate_normal(np.zeros(5), c.T @ c + SIGMA**2 * np.eye(5)).logpdf(x)


def test_recon_and_elbo_are_their_formulas(vae, normals):
    x = normals(40)
    q = vae.encode(x)
    recon = -stats.norm.logpdf(x.astype(float), vae.decode(q.mu), SIGMA).sum(1)
    np.testing.assert_allclose(vae.score(x, "recon").values, recon, rtol=1e-6)
    np.testing.assert_allclose(vae.score(x, "elbo").values, recon + q.kl(), rtol=1e-6)


def test_iwae_nears_the_evidence_from_above(vae, linear, normals):
    """Check that the mean is an upper bound of -log p(x) that falls with the draws."""
    x = normals(50)
    expected = -evidence(linear, x)
    one, more, many = (vae.score(x, "iwae", draws=k).values for k in (1, 16, 4096))
    assert one.mean() > more.mean() > expected.mean()
    np.testing.assert_allclose(many, expected, atol=0.15)
    assert abs((many - expected).mean()) < 0.01


def test_iwae_depends_on_no_batch(vae, normals, monkeypatch):
    x = normals(30)
    full = vae.score(x, "iwae", draws=8, seed=3, start=100).values
    part = vae.score(x[12:], "iwae", draws=8, seed=3, start=112).values
    np.testing.assert_allclose(part, full[12:], rtol=1e-5)
    monkeypatch.setattr(methods, "MAX_ELEMENTS", 50)
    divided = vae.score(x, "iwae", draws=8, seed=3, start=100).values
    np.testing.assert_allclose(divided, full, rtol=1e-5)
    assert np.abs(vae.score(x, "iwae", draws=8, seed=4).values - full).max() > 1e-3


def test_mahalanobis_is_that_of_the_covariance(vae, normals):
    train, x = normals(3000), normals(50, seed=1)
    calibrated = vae.calibrate(normals(3000))  # whose first half fits the statistics
    mean, covariance = moments(vae.encode(train[:1500]).mu.astype(float))
    precision, offset = np.linalg.inv(covariance), vae.encode(x).mu.astype(float) - mean
    expected = np.sqrt(np.einsum("ni,ij,nj->n", offset, precision, offset))
    np.testing.assert_allclose(calibrated.score(x, "mahalanobis").values, expected, rtol=1e-3)


def test_default_is_the_sum_of_two_standard_scores(vae, normals):
    train, x = normals(2000), normals(50, seed=1)
    calibrated = vae.calibrate(np.concatenate([train, normals(500, seed=2)] * 2))
    half = np.concatenate([train, normals(500, seed=2)])

    def logs(items):
        squares = ((items - vae.reconstruct(items)) / SIGMA) ** 2 / 2
        return np.log([squares.sum(1), calibrated.score(items, "mahalanobis").values])

    seen, asked = logs(half), logs(x)
    expected = ((asked - seen.mean(1, keepdims=True)) / seen.std(1, keepdims=True)).sum(0)
    np.testing.assert_allclose(calibrated.score(x).values, expected, atol=1e-4)


def test_nap_weighs_whitened_differences_of_the_layers_and_of_the_input(tinies, tmp_path):
    tiny = tinies["vector"]
    path = tiny.write(tmp_path / "b", activations=tiny.activations()).path
    vae = edgevae.load(path)
    rng = np.random.default_rng(0)
    train, x = (rng.standard_normal((n, 5)).astype(np.float32) for n in (800, 20))
    fitted = scoring.fit(vae.runner, train)
    bundle.extend(vae.bundle, path, arrays={"statistics.npz": fitted.arrays()})

    def differences(items):
        return (vae.activations(items) - vae.activations(vae.reconstruct(items))).astype(float)

    mean, covariance = moments(differences(train))
    ridge = 1e-3 * np.trace(covariance) / len(covariance)
    precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    offset = differences(x) - mean
    layers = np.einsum("ni,ij,nj->n", offset, precision, offset)
    scores = edgevae.load(path).score(x, "nap")
    expected = np.log(layers) + np.log(scores.parts.sum((1,)))
    np.testing.assert_allclose(scores.values, expected, atol=2e-3)


def test_the_shipped_bundle_finds_noise_stranger_than_its_own_images():
    vae = edgevae.load("fashion")
    own = vae.generate(20, seed=1)
    noise = np.random.default_rng(0).random(own.shape, np.float32)
    for method in ("recon", "elbo"):
        assert vae.score(noise, method).values.min() > vae.score(own, method).values.max()


def test_an_autoencoder_has_no_bound(linear, normals, tmp_path):
    vae = edgevae.load(linear.write(tmp_path / "ae", model="autoencoder", prior=None).path)
    for method in ("elbo", "iwae"):
        with pytest.raises(InputError, match=rf"is an autoencoder.*{method}.*use recon"):
            vae.score(normals(3), method)
    assert "elbo" not in vae.calibrate(normals(500)).calibration.scores
