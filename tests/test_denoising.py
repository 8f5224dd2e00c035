"""Denoising combines the noisy item and the model, by frequency, contrast and noise."""

import math

import numpy as np
import pytest
from PIL import Image

import edgevae
from edgevae import BundleError, InputError, bundle, data, denoising, sampling

SIDE = 16


class Smooth:
    """A model that removes noise and loses detail: it keeps the low frequencies of its input."""

    class bundle:  # noqa: N801
        name, noise = "smooth", 0.5
        data = data.Image((1, SIDE, SIDE))

    def reconstruct(self, x, y=None):
        kept = denoising.dct(np.asarray(x, np.float32))
        kept[:, :, 4:], kept[..., 4:] = 0, 0
        return denoising.inverse_dct(kept).clip(0, 1)


@pytest.fixture(scope="module")
def x():
    """Smooth blobs on black, with fine stripes on the blobs."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    centres = rng.uniform(5, SIDE - 5, (400, 2, 1, 1))
    distance = np.hypot(rows - centres[:, 0], columns - centres[:, 1])
    blobs = np.clip(1.5 - distance / 4, 0, 0.8)
    return (blobs * (1 + 0.25 * (columns % 2)))[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def table(x):
    return denoising.fit(Smooth(), x[:300])


def noisy(x, sigma, seed=3):
    eps = sampling.normal(len(x), x[0].size, seed=seed, purpose=sampling.CORRUPTION)
    return x + np.float32(sigma) * eps.reshape(x.shape)


def error(x, x_hat):
    return float(((x - x_hat.clip(0, 1)) ** 2).mean())


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2, 0.4])
def test_it_is_better_than_the_noisy_item_and_than_the_model(x, table, sigma):
    y, model = noisy(x[300:], sigma), Smooth()
    known, estimated = (denoising.denoise(model, table, y, s) for s in (sigma, None))
    best = min(error(x[300:], y), error(x[300:], model.reconstruct(y)))
    assert error(x[300:], known) < 0.8 * best
    assert error(x[300:], estimated) < 0.85 * best


def test_a_clean_item_is_almost_unchanged(x, table):
    model, clean = Smooth(), x[300:]
    known, estimated = (denoising.denoise(model, table, clean, sigma) for sigma in (0.0, None))
    np.testing.assert_allclose(known, clean.clip(0, 1), atol=1e-4)
    assert error(clean, estimated) < 0.05 * error(clean, model.reconstruct(clean))


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("clipped", [False, True])
def test_sigma_is_estimated(x, table, sigma, clipped):
    y = noisy(x[300:], sigma)
    y = y.clip(0, 1) if clipped else y
    estimates = denoising.estimate_sigma(y, np.full(len(y), clipped), table)
    assert estimates.mean() == pytest.approx(sigma, rel=0.12)
    assert (denoising.is_clipped(y) == clipped).all()


def test_clipped_pixels_are_restored():
    """If x is known, each clipped pixel gets the mean of a normal distribution's tail."""
    x_hat = np.full((1, 1, 1, 5), 0.05, np.float32)
    draws = x_hat + 0.2 * np.random.default_rng(1).standard_normal((200_000, 1, 1, 5))
    y = draws.clip(0, 1).astype(np.float32)
    restored = denoising.restore_clipped(y, x_hat, np.full(len(y), 0.2, np.float32))
    assert y.mean() > 0.1
    assert restored.mean() == pytest.approx(0.05, abs=2e-3)
    np.testing.assert_array_equal(restored[(y > 0) & (y < 1)], y[(y > 0) & (y < 1)])
    far = denoising.restore_clipped(
        np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1)), np.ones(1)
    )
    assert far.item() <= 0


def test_the_result_does_not_jump_where_a_rounding_error_changes_x_hat(x, table):
    y, model = noisy(x[:100], 0.2).clip(0, 1), Smooth()
    x_hat, sigma = model.reconstruct(y), np.full(len(y), 0.2, np.float32)
    rounding = np.random.default_rng(1).uniform(-1e-6, 1e-6, x_hat.shape).astype(np.float32)
    first, second = (denoising.blend(y, each, sigma, table) for each in (x_hat, x_hat + rounding))
    assert np.abs(first - second).max() < 1e-4


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_gain_holds_in_the_middle_of_its_class(classes):
    boundaries = np.float32([0.2, 0.4][: classes - 1])
    gains = np.float32([[1, 2, 4], [0, 10, 30]])[:, :classes]
    middles = np.float32([0.1, 0.3, 0.5])[:classes].reshape(1, 1, 1, -1).repeat(2, axis=0)
    g = denoising._at_contrast(middles, boundaries, gains)
    np.testing.assert_allclose(np.broadcast_to(g[:, 0, 0], gains.shape), gains, rtol=1e-5)


def test_contrast_is_the_standard_deviation_of_the_neighbourhood():
    image = np.random.default_rng(0).random((5, 6), np.float32)
    flat = np.float32(0.9) + np.float32(1e-6) * image  # where E[x^2] - E[x]^2 has no digit left
    for each in (image, flat):
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(each, 1, mode="edge"), (3, 3))
        expected = windows.astype(float).std((2, 3))
        np.testing.assert_allclose(
            denoising.contrast(each[None, None])[0, 0], expected, rtol=1e-3, atol=1e-9
        )


def test_the_transform_is_the_orthonormal_cosine_transform():
    y = np.random.default_rng(2).random((2, 1, 6, 9), np.float32)
    coefficients = denoising.dct(y)
    np.testing.assert_allclose(denoising.inverse_dct(coefficients), y, atol=1e-6)
    assert coefficients[0, 0, 0, 0] == pytest.approx(y[0].sum() / math.sqrt(54), rel=1e-5)
    assert (coefficients**2).sum() == pytest.approx((y**2).sum(), rel=1e-5)


@pytest.mark.parametrize("size", [4, 8, 28, 256])
def test_bands_cover_every_frequency_once(size):
    band = denoising.bands(size)
    assert (band[0], len(band)) == (0, size)
    assert set(np.diff(band)) <= {0, 1}
    assert band[-1] < 14


def test_items_do_not_affect_each_other(x, table):
    y, model = noisy(x[300:], 0.2), Smooth()
    y[::2] = y[::2].clip(0, 1)
    every = denoising.denoise(model, table, y, None)
    for i in (0, 1):
        np.testing.assert_allclose(
            denoising.denoise(model, table, y[i : i + 1], None)[0], every[i], atol=1e-5
        )
    sigmas = np.where(np.arange(len(y)) % 2, 0.1, 0.4)
    np.testing.assert_allclose(
        denoising.denoise(model, table, y, sigmas)[1],
        denoising.denoise(model, table, y[1:2], 0.1)[0],
        atol=1e-5,
    )


# --- the table of a bundle -------------------------------------------------------------------


@pytest.fixture
def denoiser(tiny_paths, tmp_path):
    items = np.random.default_rng(4).integers(0, 256, (300, 1, 8, 8), np.uint8)
    runner = edgevae.load(tiny_paths["grey"]).runner
    table = denoising.fit(runner, items / np.float32(255))
    arrays = {denoising.FILE: table._asdict()}
    return bundle.extend(runner.bundle, tmp_path / "denoiser", arrays=arrays)


def test_a_bundle_carries_its_table(denoiser, tiny_paths):
    assert denoiser.files[denoising.FILE].bytes < 60_000
    vae = edgevae.load(denoiser.path)
    assert vae.denoising.sigmas[-1] == pytest.approx(0.5)
    x = np.random.default_rng(5).random((20, 1, 8, 8), np.float32)
    assert error(x, vae.denoise(x, 0.0)) < 1e-6
    assert error(x, vae.denoise(x, 0.1)) < error(x, vae.reconstruct(x))
    without = edgevae.load(tiny_paths["grey"])
    assert without.denoising is None
    np.testing.assert_array_equal(without.denoise(x, 0.1), without.reconstruct(x))


def test_an_image_comes_back_as_one(denoiser):
    vae = edgevae.load(denoiser.path)
    image = Image.fromarray(np.random.default_rng(6).integers(0, 256, (8, 8), np.uint8))
    assert vae.denoise(image).size == (8, 8)
    assert [result.size for result in vae.denoise([image, image], [0.1, 0.2])] == [(8, 8)] * 2


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), "much", [0.1, 0.2], None])
def test_a_wrong_sigma_is_refused(denoiser, sigma):
    x = np.zeros((3, 1, 8, 8), np.float32)
    if sigma is None:
        assert edgevae.load(denoiser.path).denoise(x[:0]).shape == (0, 1, 8, 8)
        return
    with pytest.raises(InputError, match="sigma: expected a finite number"):
        edgevae.load(denoiser.path).denoise(x, sigma)


def test_a_wrong_table_is_refused(denoiser, tmp_path):
    table = denoising.read(denoiser)._asdict()
    wrong = {denoising.FILE: {**table, "noisy": table["noisy"][:, :2]}}
    damaged = bundle.extend(denoiser, tmp_path / "wrong", arrays=wrong)
    with pytest.raises(BundleError, match="expected noisy of shape"):
        edgevae.load(damaged.path).denoise(np.zeros((1, 1, 8, 8), np.float32))


def test_some_bundles_cannot_have_a_table(tiny_paths):
    for name, error in (("colour", "was not trained to denoise"), ("vector", "expected images")):
        vae = edgevae.load(tiny_paths[name])
        with pytest.raises(InputError, match=error):
            denoising.fit(vae.runner, vae.generate(3))
