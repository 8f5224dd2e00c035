"""Statistics whiten rows, whose moments are added in batches, and are read back from a bundle."""

import numpy as np
import pytest

from edgevae import bundle, scoring
from edgevae.errors import BundleError, InputError
from edgevae.scoring import statistics
from edgevae.scoring.statistics import Moments


def test_the_ridge_bounds_the_weight_of_directions_that_hardly_vary():
    rows = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    rows[:, 2] = 1e-5 * rows[:, 2]
    moments = Moments()
    moments.add(rows[:200])
    moments.add(rows[200:])
    white = (rows - moments.whitening(1e-2).mean) @ moments.whitening(1e-2).matrix
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.diag([0, 1, 1]), atol=0.02)
    far = np.abs(np.array([0, 0, 1.0]) @ moments.whitening(1e-2).matrix).max()
    assert far == pytest.approx(1 / np.sqrt(1e-2 * 2 / 3), rel=0.1)


def test_moments_do_not_depend_on_the_batches():
    rows = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32) + 5
    together, apart = Moments(), Moments()
    together.add(rows)
    for first in range(0, 100, 30):
        apart.add(rows[first : first + 30])
    expected = np.sqrt(((rows - rows.mean(0)) @ np.linalg.inv(np.cov(rows.T, bias=True))
                        * (rows - rows.mean(0))).sum(1))  # fmt: skip
    for moments in (together, apart):
        whitening = moments.whitening(0.0)
        np.testing.assert_allclose(whitening.distance(rows), expected, rtol=1e-3)


def test_statistics_are_read_back(vae, normals, tmp_path):
    assert statistics.read(vae.bundle) is None
    fitted = scoring.fit(vae.runner, normals(100))
    assert fitted.h is None  # the bundle has no activations
    arrays = {"statistics.npz": fitted.arrays()}
    read = statistics.read(bundle.extend(vae.bundle, tmp_path / "b", arrays=arrays))
    for name, expected in fitted.arrays().items():
        np.testing.assert_array_equal(read.arrays()[name], expected)


def test_statistics_take_at_least_two_items(vae, normals):
    with pytest.raises(InputError, match="x_train: expected at least 2 items, got 1"):
        scoring.fit(vae.runner, normals(1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scale": np.zeros(2)}, "got a scale of 0, which must be above 0"),
        ({"scale": np.array([1.0, -1])}, "got a scale of -1"),
        ({"mu_mean": np.array([1e300, 0])}, "mu_mean must be numbers that float32 holds"),
        ({"mu_mean": np.zeros(3)}, "mu_mean"),
        ({"location": np.float32(1)}, "location and scale of other shapes"),
    ],
)
def test_statistics_that_no_fit_gives_are_refused(vae, normals, tmp_path, change, says):
    arrays = {**scoring.fit(vae.runner, normals(100)).arrays(), **change}
    written = bundle.extend(vae.bundle, tmp_path / "b", arrays={"statistics.npz": arrays})
    with pytest.raises(BundleError, match=says):
        statistics.read(written)
