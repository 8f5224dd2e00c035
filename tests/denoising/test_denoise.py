"""A denoised image is nearer to the clean image than the noisy one and its reconstruction."""

import numpy as np
import pytest
from PIL import Image

import edgevae
from edgevae import InputError, denoising


def error(x, x_hat):
    return float(((x - x_hat.clip(0, 1)) ** 2).mean())


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.2, 0.4])
def test_it_is_better_than_the_noisy_item_and_than_the_model(x, table, sigma, model, noisy):
    y = noisy(x[300:], sigma)
    known, estimated = (denoising.denoise(model, table, y, s) for s in (sigma, None))
    best = min(error(x[300:], y), error(x[300:], model.reconstruct(y)))
    assert error(x[300:], known) < 0.8 * best
    assert error(x[300:], estimated) < 0.85 * best


def test_a_clean_item_is_almost_unchanged(x, table, model):
    clean = x[300:]
    known, estimated = (denoising.denoise(model, table, clean, sigma) for sigma in (0.0, None))
    np.testing.assert_allclose(known, clean.clip(0, 1), atol=1e-4)
    assert error(clean, estimated) < 0.05 * error(clean, model.reconstruct(clean))


def test_items_do_not_affect_each_other(x, table, model, noisy):
    y = noisy(x[300:], 0.2)
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
