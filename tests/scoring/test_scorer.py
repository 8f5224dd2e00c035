"""Scores have parts and p-values; calibration is checked by counting."""

import pickle

import numpy as np
import pytest
from scipy import stats
from tiny import int8

import edgevae
from edgevae import bundle
from edgevae.errors import BundleError, InputError


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


def test_a_bundle_without_statistics_says_how_to_fit_them(vae, normals):
    plain = vae.score(normals(3), "recon")
    assert (plain.p_values, plain.is_anomaly) == (None, None)
    for method in ("default", "mahalanobis"):
        with pytest.raises(InputError, match=r"has no statistics.*`edgevae calibrate`"):
            vae.score(normals(3), method)
    with pytest.raises(InputError, match="has no activations: the score `nap` needs them"):
        vae.score(normals(3), "nap")
    with pytest.raises(InputError, match="method: expected default, recon, elbo"):
        vae.score(normals(3), "magic")


def test_normal_items_are_flagged_at_the_rate_of_alpha(vae, normals):
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


def test_iwae_is_calibrated_on_request(vae, normals):
    calibrated = vae.calibrate(normals(120), methods=["iwae"], draws=4)
    assert calibrated.statistics is None
    assert calibrated.score(normals(9), "iwae", draws=4).p_values.shape == (9,)
    with pytest.raises(InputError, match="calibrated with 4 draws, which scores by 64"):
        calibrated.score(normals(9), "iwae")


def test_p_values_need_a_calibration_of_the_method(vae, normals):
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


def test_a_calibration_is_for_its_precision(linear, normals, tmp_path):
    further = [int8("decoder", linear.decoder())]
    vae = edgevae.load(linear.write(tmp_path / "a", further=further).path)
    path = vae.calibrate(normals(500)).save(tmp_path / "b").path
    in_int8 = edgevae.load(path, precision="int8")
    with pytest.raises(InputError, match="in float32, which scores in int8 cannot be compared"):
        in_int8.score(normals(3))
    assert in_int8.calibrate(normals(500)).score(normals(3)).p_values is not None


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
def test_damaged_statistics_and_calibrations_are_refused(vae, normals, tmp_path, file, change):
    bundle.extend(vae.bundle, tmp_path / "b", arrays={file: change})
    damaged = edgevae.load(tmp_path / "b")
    with pytest.raises(BundleError, match=file.replace(".", r"\.")):
        damaged.score(normals(3))


def test_a_damaged_calibration_is_replaced_by_a_new_one(vae, normals, tmp_path):
    damage = {"calibration.npz": {"recon": np.array([2.0, 1.0])}}
    bundle.extend(vae.bundle, tmp_path / "b", arrays=damage)
    calibrated = edgevae.load(tmp_path / "b").calibrate(normals(500))
    assert calibrated.score(normals(3)).p_values.shape == (3,)


def test_a_conditional_bundle_is_refused(tiny_paths):
    vae = edgevae.load(tiny_paths["classes"])
    with pytest.raises(InputError, match="needs the class of each item"):
        vae.score(np.zeros((1, 1, 8, 8), np.float32), "recon")
