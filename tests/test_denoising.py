"""Denoising combines the noisy item and the model by frequency, place and noise."""

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
        x_shape, x_range = data.x_shape, data.x_range

    def reconstruct(self, x, y=None):
        kept = denoising._transform(np.asarray(x, np.float32))
        kept[:, :, 4:], kept[..., 4:] = 0, 0
        return denoising._inverse(kept).clip(0, 1)


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


def test_a_clean_item_comes_back_all_but_unchanged(x, table):
    model, clean = Smooth(), x[300:]
    known, estimated = (denoising.denoise(model, table, clean, sigma) for sigma in (0.0, None))
    np.testing.assert_allclose(known, clean.clip(0, 1), atol=1e-4)
    assert error(clean, estimated) < 0.05 * error(clean, model.reconstruct(clean))


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("cut", [False, True])
def test_sigma_is_estimated(x, table, sigma, cut):
    y = noisy(x[300:], sigma)
    y = y.clip(0, 1) if cut else y
    found = denoising.estimate(y, np.full(len(y), cut), table)
    assert found.mean() == pytest.approx(sigma, rel=0.12)
    assert (denoising._is_cut(y) == cut).all()


def test_what_8_bits_cut_off_is_put_back():
    """With x known, as the mean of what was below black: of a normal's tail."""
    x_hat = np.full((1, 1, 1, 5), 0.05, np.float32)
    draws = x_hat + 0.2 * np.random.default_rng(1).standard_normal((200_000, 1, 1, 5))
    y = draws.clip(0, 1).astype(np.float32)
    back = denoising.restored(y, x_hat, np.full(len(y), 0.2, np.float32))
    assert y.mean() > 0.1
    assert back.mean() == pytest.approx(0.05, abs=2e-3)
    np.testing.assert_array_equal(back[(y > 0) & (y < 1)], y[(y > 0) & (y < 1)])
    far = denoising.restored(np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1)), np.ones(1))
    assert far.item() <= 0


def test_the_transform_is_the_cosine_one():
    y = np.random.default_rng(2).random((2, 1, 6, 9), np.float32)
    coefficients = denoising._transform(y)
    np.testing.assert_allclose(denoising._inverse(coefficients), y, atol=1e-6)
    assert coefficients[0, 0, 0, 0] == pytest.approx(y[0].sum() / math.sqrt(54), rel=1e-5)
    assert (coefficients**2).sum() == pytest.approx((y**2).sum(), rel=1e-5)


@pytest.mark.parametrize("size", [4, 8, 28, 256])
def test_bands_cover_every_frequency_once(size):
    found = denoising.bands(size)
    assert (found[0], len(found)) == (0, size)
    assert set(np.diff(found)) <= {0, 1}
    assert found[-1] < 14


def test_items_do_not_touch_each_other(x, table):
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


# --- of a bundle -----------------------------------------------------------------------------


@pytest.fixture
def taught(tiny_paths, tmp_path):
    items = np.random.default_rng(4).integers(0, 256, (300, 1, 8, 8), np.uint8)
    untaught = edgevae.load(tiny_paths["grey"]).runner
    table = denoising.fit(untaught, items / np.float32(255))
    arrays = {denoising.FILE: table._asdict()}
    return bundle.extend(untaught.bundle, tmp_path / "taught", arrays=arrays)


def test_a_bundle_carries_its_table(taught, tiny_paths):
    assert taught.files[denoising.FILE].bytes < 60_000
    vae = edgevae.load(taught.path)
    assert vae.denoising.sigmas[-1] == pytest.approx(0.5)
    x = np.random.default_rng(5).random((20, 1, 8, 8), np.float32)
    assert error(x, vae.denoise(x, 0.0)) < 1e-6
    assert error(x, vae.denoise(x, 0.1)) < error(x, vae.reconstruct(x))
    without = edgevae.load(tiny_paths["grey"])
    assert without.denoising is None
    np.testing.assert_array_equal(without.denoise(x, 0.1), without.reconstruct(x))


def test_an_image_comes_back_as_one(taught):
    vae = edgevae.load(taught.path)
    image = Image.fromarray(np.random.default_rng(6).integers(0, 256, (8, 8), np.uint8))
    assert vae.denoise(image).size == (8, 8)
    assert [each.size for each in vae.denoise([image, image], [0.1, 0.2])] == [(8, 8)] * 2


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), "much", [0.1, 0.2], None])
def test_what_is_no_sigma_is_refused(taught, sigma):
    x = np.zeros((3, 1, 8, 8), np.float32)
    if sigma is None:
        assert edgevae.load(taught.path).denoise(x[:0]).shape == (0, 1, 8, 8)
        return
    with pytest.raises(InputError, match="sigma: expected a finite number"):
        edgevae.load(taught.path).denoise(x, sigma)


def test_a_wrong_table_is_refused(taught, tmp_path):
    table = denoising.read(taught)._asdict()
    wrong = {denoising.FILE: {**table, "noisy": table["noisy"][:, :2]}}
    made = bundle.extend(taught, tmp_path / "wrong", arrays=wrong)
    with pytest.raises(BundleError, match="expected noisy of shape"):
        edgevae.load(made.path).denoise(np.zeros((1, 1, 8, 8), np.float32))


def test_what_cannot_learn_a_table(tiny_paths):
    for name, says in (("colour", "was not trained to denoise"), ("vector", "expected images")):
        vae = edgevae.load(tiny_paths[name])
        with pytest.raises(InputError, match=says):
            denoising.fit(vae.runner, vae.generate(3))
