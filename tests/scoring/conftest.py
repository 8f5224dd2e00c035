"""A VAE whose p(x) is known in closed form, and items drawn from it."""

import numpy as np
import pytest
from tiny import Linear

import edgevae


@pytest.fixture
def linear():
    """A linear VAE: x is z C + sigma e, and p(x) a Gaussian."""
    return Linear("vector", (5,), None, (2,))


@pytest.fixture
def vae(linear, tmp_path):
    """The linear VAE, loaded, without statistics and calibration."""
    likelihood = {"name": "gaussian", "sigma": linear.sigma}
    return edgevae.load(linear.write(tmp_path / "linear", likelihood=likelihood).path, threads=1)


@pytest.fixture
def normals(linear):
    """A function that draws n items of the linear VAE by a seed."""

    def draw(n, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, 2)) @ linear.weights["x_hat"]
        return (x + linear.sigma * rng.standard_normal((n, 5))).astype(np.float32)

    return draw
