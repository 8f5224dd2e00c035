"""Images, a model that smooths them, and bundles that denoise."""

import numpy as np
import pytest

import edgevae
from edgevae import bundle, data, denoising, sampling
from edgevae.denoising import transform

SIDE = 16


class Smooth:
    """A model that removes noise and loses detail: it keeps the low frequencies of its input."""

    class bundle:  # noqa: N801
        name, noise = "smooth", 0.5
        data = data.Image((1, SIDE, SIDE))

    def reconstruct(self, x, y=None):
        kept = transform.dct(np.asarray(x, np.float32))
        kept[:, :, 4:], kept[..., 4:] = 0, 0
        return transform.inverse_dct(kept).clip(0, 1)


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
def model():
    return Smooth()


@pytest.fixture(scope="module")
def table(x, model):
    """The table of the model, fitted to the first 300 images."""
    return denoising.fit(model, x[:300])


@pytest.fixture(scope="module")
def noisy():
    """A function that adds noise of a sigma to images."""

    def corrupt(x, sigma):
        eps = sampling.normal(len(x), x[0].size, seed=3, purpose=sampling.CORRUPTION)
        return x + np.float32(sigma) * eps.reshape(x.shape)

    return corrupt


@pytest.fixture
def denoiser(tiny_paths, tmp_path):
    """The bundle `grey` with a table."""
    items = np.random.default_rng(4).integers(0, 256, (300, 1, 8, 8), np.uint8)
    runner = edgevae.load(tiny_paths["grey"]).runner
    table = denoising.fit(runner, items / np.float32(255))
    arrays = {denoising.FILE: table._asdict()}
    return bundle.extend(runner.bundle, tmp_path / "denoiser", arrays=arrays)
