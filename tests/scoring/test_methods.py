"""Scores against closed forms and scipy; calibration by counting."""

import pickle

import numpy as np
import pytest
from scipy import stats
from tiny import Linear

import edgevae
from edgevae import bundle, scoring
from edgevae.errors import BundleError, InputError
from edgevae.scoring import methods
from edgevae.scoring.statistics import Moments

SIGMA = 0.7


@pytest.fixture
def linear():
    return Linear("vector", (5,), None, (2,))


@pytest.fixture
def vae(linear, tmp_path):
    likelihood = {"name": "gaussian", "sigma": SIGMA}
    return edgevae.load(linear.write(tmp_path / "linear", likelihood=likelihood).path, threads=1)


@pytest.fixture
def normals(linear):
    """Items of the model itself: `normals(n, seed)`."""

    def draw(n, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, 2)) @ linear.weights["x_hat"]
        return (x + SIGMA * rng.standard_normal((n, 5))).astype(np.float32)

    return draw


def moments(rows):
    """The mean and the covariance of rows, as of a maximum likelihood Gaussian."""
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
    """Its mean is an upper bound of -log p(x) that falls with the draws."""
    x = normals(50)
    expected = -evidence(linear, x)
    few, more, many = (vae.score(x, "iwae", draws=k).values for k in (1, 16, 4096))
    assert few.mean() > more.mean() > expected.mean()
    np.testing.assert_allclose(many, expected, atol=0.15)
    assert abs((many - expected).mean()) < 0.01


def test_iwae_depends_on_no_batch(vae, normals, monkeypatch):
    x = normals(30)
    whole = vae.score(x, "iwae", draws=8, seed=3, start=100).values
    part = vae.score(x[12:], "iwae", draws=8, seed=3, start=112).values
    np.testing.assert_allclose(part, whole[12:], rtol=1e-5)
    monkeypatch.setattr(methods, "MAX_ELEMENTS", 50)
    divided = vae.score(x, "iwae", draws=8, seed=3, start=100).values
    np.testing.assert_allclose(divided, whole, rtol=1e-5)
    assert np.abs(vae.score(x, "iwae", draws=8, seed=4).values - whole).max() > 1e-3


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


def test_whitening_bounds_what_directions_that_hardly_vary_may_say():
    rows = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    rows[:, 2] = 1e-5 * rows[:, 2]
    moments = Moments()
    moments.add(rows[:200])
    moments.add(rows[200:])
    white = (rows - moments.whitening(1e-2).mean) @ moments.whitening(1e-2).matrix
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.diag([0, 1, 1]), atol=0.02)
    far = np.abs(np.array([0, 0, 1.0]) @ moments.whitening(1e-2).matrix).max()
    assert far == pytest.approx(1 / np.sqrt(1e-2 * 2 / 3), rel=0.1)


def test_parts_add_up_to_the_deviance(tiny_paths):
    vae = edgevae.load(tiny_paths["colour"])
    x = np.random.default_rng(0).random((7, 3, 8, 6), np.float32)
    parts = vae.score(x, "recon").parts
    assert (parts.dtype, parts.shape) == (np.float32, x.shape)
    expected = ((x - vae.reconstruct(x)) / 0.1) ** 2 / 2
    np.testing.assert_allclose(parts, expected, rtol=1e-4, atol=1e-5)


def test_images_are_scored_as_reconstruct_takes_them(tiny_paths):
    vae = edgevae.load(tiny_paths["grey"])
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    floats = (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    expected = vae.score(floats, "recon").values
    np.testing.assert_allclose(vae.score(pixels, "recon").values, expected, rtol=1e-5)
    assert vae.score(pixels[0], "recon").values.shape == (1,)
    assert vae.score(pixels[:0], "iwae").values.shape == (0,)


def test_the_shipped_bundle_finds_noise_stranger_than_its_own_images():
    vae = edgevae.load("fashion")
    own = vae.generate(20, seed=1)
    noise = np.random.default_rng(0).random(own.shape, np.float32)
    for method in ("recon", "elbo"):
        assert vae.score(noise, method).values.min() > vae.score(own, method).values.max()


def test_a_bundle_without_statistics_says_how_to_have_them(vae, normals):
    plain = vae.score(normals(3), "recon")
    assert (plain.p_values, plain.is_anomaly) == (None, None)
    for method in ("default", "mahalanobis"):
        with pytest.raises(InputError, match=r"has no statistics.*`edgevae calibrate`"):
            vae.score(normals(3), method)
    with pytest.raises(InputError, match="has no activations: the score `nap` needs them"):
        vae.score(normals(3), "nap")
    with pytest.raises(InputError, match="method: expected default, recon, elbo"):
        vae.score(normals(3), "magic")


# --- calibration -----------------------------------------------------------------------------


def test_normals_are_flagged_at_the_rate_that_was_asked_for(vae, normals):
    calibrated = vae.calibrate(normals(3998), alpha=0.05, methods=["default", "recon", "elbo"])
    assert len(calibrated.calibration.scores["recon"]) == 1999
    x = normals(4000, seed=1)
    for method, alpha in (("default", None), ("recon", 0.2), ("elbo", 0.01)):
        scores = calibrated.score(x, method, alpha=alpha)
        # The rate of one calibration varies too: beta-binomial (Vovk 2012).
        alpha = alpha or 0.05
        rank = round(alpha * 2000)
        low, high = stats.betabinom(4000, rank, 2000 - rank).ppf([0.001, 0.999])
        assert low <= scores.is_anomaly.sum() <= high
        assert (scores.is_anomaly == (scores.p_values <= alpha)).all()
    strange = 10 * normals(20, seed=2)
    assert calibrated.score(strange).is_anomaly.mean() > 0.8


def test_false_discoveries_are_few(vae, normals):
    calibrated = vae.calibrate(normals(8000), methods=["recon"], alpha=0.05)
    strange = normals(30, seed=2) + np.float32(20) * np.eye(5, dtype=np.float32)[0]
    x = np.concatenate([normals(970, seed=1), strange])
    each, together = (calibrated.score(x, "recon", alpha=0.1, fdr=f).is_anomaly for f in (0, 1))
    assert each[:970].sum() > 50  # a tenth of the normal items
    assert together[:970].sum() < 15
    assert together[970:].all()


def test_a_calibrated_vae_is_saved_and_pickled(vae, normals, tmp_path):
    calibrated = vae.calibrate(normals(500))
    assert (vae.statistics, vae.calibration) == (None, None)
    saved = calibrated.save(tmp_path / "calibrated")
    assert saved.calibration == {"alpha": 0.01, "precision": "float32", "draws": 64}
    x = normals(50, seed=1)
    expected = calibrated.score(x)
    others = edgevae.load(saved.path), pickle.loads(pickle.dumps(calibrated))
    for other in others:
        np.testing.assert_array_equal(other.score(x).values, expected.values)
        np.testing.assert_array_equal(other.score(x).p_values, expected.p_values)
    again = others[0].calibrate(normals(300, seed=3), alpha=0.1)
    assert len(again.calibration.scores["default"]) == 300  # the statistics stay
    assert set(again.calibration.scores) == {"default", "recon", "elbo", "mahalanobis"}


def test_iwae_is_calibrated_where_it_is_asked_for(vae, normals):
    calibrated = vae.calibrate(normals(120), methods=["iwae"], draws=4)
    assert calibrated.statistics is None
    assert calibrated.score(normals(9), "iwae", draws=4).p_values.shape == (9,)
    with pytest.raises(InputError, match="calibrated with 4, and scores by 64"):
        calibrated.score(normals(9), "iwae")


def test_p_values_are_of_what_was_calibrated(vae, normals):
    with pytest.raises(InputError, match=r"recon is not calibrated \(.* has none"):
        vae.score(normals(3), "recon", alpha=0.1)
    calibrated = vae.calibrate(normals(500), methods=["default"])
    assert calibrated.score(normals(3), "recon").p_values is None
    with pytest.raises(InputError, match="has one of default"):
        calibrated.score(normals(3), "recon", fdr=True)
    with pytest.raises(InputError, match="takes at least 999 held-out"):
        calibrated.score(normals(3), alpha=0.001)
    with pytest.raises(InputError, match=r"takes at least 99 held-out normal items.*got 90"):
        vae.calibrate(normals(180))
    with pytest.raises(InputError, match="x: expected finite numbers"):
        vae.calibrate(normals(180) * np.float32(np.nan))


def test_a_calibration_is_of_its_precision(linear, normals, tmp_path):
    variants = {"int8": {"decoder": linear.decoder()}}
    vae = edgevae.load(linear.write(tmp_path / "a", variants=variants).path)
    path = vae.calibrate(normals(500)).save(tmp_path / "b").path
    int8 = edgevae.load(path, precision="int8")
    with pytest.raises(InputError, match="calibrated in float32, and scores in int8 are others"):
        int8.score(normals(3))
    assert int8.calibrate(normals(500)).score(normals(3)).p_values is not None


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("statistics.npz", {"mu_mean": np.zeros(3)}),
        ("statistics.npz", {"mu_mean": np.zeros(2)}),
        ("statistics.npz", {"location": np.zeros(2)}),
        ("calibration.npz", {"recon": np.array([2.0, 1.0])}),
        ("calibration.npz", {"recon": np.zeros((2, 2))}),
    ],
)
def test_damaged_ones_are_refused(vae, normals, tmp_path, file, change):
    bundle.extend(vae.bundle, tmp_path / "b", arrays={file: change})
    damaged = edgevae.load(tmp_path / "b")
    with pytest.raises(BundleError, match=file.replace(".", r"\.")):
        damaged.score(normals(3))


def test_an_autoencoder_has_no_bound(linear, normals, tmp_path):
    vae = edgevae.load(linear.write(tmp_path / "ae", model="autoencoder", prior=None).path)
    for method in ("elbo", "iwae"):
        with pytest.raises(InputError, match=rf"is an autoencoder.*{method}.*use recon"):
            vae.score(normals(3), method)
    assert "elbo" not in vae.calibrate(normals(500)).calibration.scores


def test_scores_know_no_classes(tiny_paths):
    vae = edgevae.load(tiny_paths["classes"])
    with pytest.raises(InputError, match="needs the class of each item"):
        vae.score(np.zeros((1, 1, 8, 8), np.float32), "recon")
