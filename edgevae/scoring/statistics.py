"""Statistics of the training items: the distribution of their latents and activations."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import _core
from edgevae.bundle import Bundle
from edgevae.data import likelihood
from edgevae.errors import BundleError

STATISTICS_FILE = "statistics.npz"

# The ridge of the covariance of mu, as a share of its mean variance. A latent dimension that
# training left unused counts when an anomaly moves it, but not a hundred times as much as others.
MU_RIDGE = 1e-4
# The same of h(x) - h(x_hat), most of whose directions hardly vary and carry little information. It
# was chosen on held-out training images of Fashion-MNIST, as the rest of `nap` was
# (train/experiments/anomalies.py).
H_RIDGE = 1e-3

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


class Whitening(NamedTuple):
    """The mean of rows of D numbers and a matrix that whitens their offsets from it.

    `mean` is float32 (D,), `matrix` float32 (D, K): (row - mean) @ matrix has a variance of 1 in
    each of K uncorrelated directions.
    """

    mean: Floats
    matrix: Floats

    def distance(self, rows: Floats) -> Values:
        """Return the Mahalanobis distance of each row (N, D) from the mean: float64 (N,)."""
        if self.matrix.shape[1] <= _core.MAX_DIRECTIONS:
            return _core.distance(np.ascontiguousarray(rows), self.mean, self.matrix)
        white = (rows - self.mean) @ self.matrix  # by a BLAS, which is faster for large matrices
        white *= white
        return np.asarray(np.sqrt(likelihood.per_item(white)), np.float64)


class Statistics(NamedTuple):
    """The statistics of the training items that some scores compare with.

    `mu` whitens the items' mu, and `h` their h(x) - h(x_hat); `h` is None for a bundle without
    activations. `location` and `scale`, float32 (2,), are the mean and the standard deviation of
    the log deviance and of the log Mahalanobis distance.
    """

    mu: Whitening
    location: Floats
    scale: Floats
    h: Whitening | None

    def arrays(self) -> dict[str, Floats]:
        """Return the arrays of statistics.npz by name."""
        arrays = {"location": self.location, "scale": self.scale}
        for name, whitening in (("mu", self.mu), ("h", self.h)):
            if whitening is not None:
                arrays |= {f"{name}_mean": whitening.mean, f"{name}_matrix": whitening.matrix}
        return arrays


def read(bundle: Bundle) -> Statistics | None:
    """Return a bundle's statistics, or None if it has none.

    Raises `BundleError` for arrays that are missing or of another shape, and for a scale of 0 or
    less.
    """
    arrays = bundle.float32_arrays(STATISTICS_FILE)
    if arrays is None:
        return None
    try:
        return _from_arrays(arrays, bundle.dims)
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"{bundle.path / STATISTICS_FILE}: expected the statistics of {bundle.dims} latent "
            f"dimensions, got {error}; fit them again"
        ) from error


def _from_arrays(arrays: dict[str, Floats], dims: int) -> Statistics:
    statistics = Statistics(
        mu=_whitening(arrays, "mu"),
        location=arrays["location"],
        scale=arrays["scale"],
        h=_whitening(arrays, "h") if "h_mean" in arrays else None,
    )
    if len(statistics.mu.mean) != dims:
        raise ValueError(f"mu_mean of {len(statistics.mu.mean)}")
    if statistics.location.shape != (2,) or statistics.scale.shape != (2,):
        raise ValueError("location and scale of other shapes")
    if not (statistics.scale > 0).all():
        raise ValueError(f"a scale of {statistics.scale.min():g}, which must be above 0")
    return statistics


def _whitening(arrays: dict[str, Floats], name: str) -> Whitening:
    mean, matrix = arrays[f"{name}_mean"], arrays[f"{name}_matrix"]
    if mean.ndim != 1 or matrix.ndim != 2 or len(matrix) != len(mean):
        raise ValueError(f"{name}_mean {mean.shape}, {name}_matrix {matrix.shape}")
    return Whitening(mean, matrix)


class Moments:
    """The mean and the covariance of rows that are added in batches."""

    def __init__(self) -> None:
        self._n = 0
        self._sum: Any = 0.0
        self._products: Any = 0.0

    def add(self, rows: Floats) -> None:
        """Add rows (n, D)."""
        wide = rows.astype(np.float64)
        self._n += len(rows)
        self._sum = self._sum + wide.sum(0)
        self._products = self._products + wide.T @ wide

    def whitening(self, ridge: float) -> Whitening:
        """Return the whitening in all directions.

        `ridge` times the mean variance is added to the variance of each direction.
        """
        mean = self._sum / self._n
        variance, directions = np.linalg.eigh(self._products / self._n - np.outer(mean, mean))
        scale = np.sqrt(np.maximum(variance, 0) + ridge * variance.mean())
        matrix = np.ascontiguousarray(directions / scale, np.float32)
        return Whitening(mean.astype(np.float32), matrix)
