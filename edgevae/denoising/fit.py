"""Fit the table of a bundle to training images."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.data import ClassNumbers
from edgevae.denoising.blend import contrast, weigh
from edgevae.denoising.noise import noise_level
from edgevae.denoising.table import Table
from edgevae.denoising.transform import bands, dct
from edgevae.engine import Runner
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]

# The noise levels of a table, as shares of the largest sigma that the model was trained on.
SIGMA_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
# The number of contrast classes, each of which has a g.
_CONTRAST_CLASSES = 12
# The smallest height and width of images that have several bands and 3 x 3 neighbourhoods.
_MIN_SIDE = 4


def fit(runner: Runner, x: Floats, y: ClassNumbers | None = None) -> Table:
    """Return the table of a bundle that denoises images, by training items x (N, *x_shape).

    A few thousand items are enough. `y` (N,) are the class numbers of a bundle with classes.
    Raises `InputError` for a bundle that cannot use a table.
    """
    bundle = runner.bundle
    x_shape, x_range = bundle.data.x_shape, bundle.data.x_range
    if not bundle.data.drawable or x_range is None or min(x_shape[1:]) < _MIN_SIDE:
        raise InputError(
            f"bundle {bundle.name!r}: expected images of at least {_MIN_SIDE} pixels a side, got "
            f"kind {bundle.data.name!r} of shape {x_shape}; such a bundle takes no table"
        )
    if not bundle.noise:
        raise InputError(
            f"bundle {bundle.name!r} was not trained to denoise (noise is 0 in its manifest), so "
            f"it has no use for a table: train with noise augmentation"
        )
    low, width = x_range[0], x_range[1] - x_range[0]
    clean = np.ascontiguousarray((x - low) / width, np.float32)
    eps = sampling.normal(len(x), clean[0].size, seed=0, purpose=sampling.CORRUPTION)
    contrasts = np.empty(0, np.float32)
    columns: dict[str, list[Any]] = {key: [] for key in Table._fields}
    for share in SIGMA_SHARES:
        sigma = share * bundle.noise / width
        corrupt: Floats = clean + np.float32(sigma) * eps.reshape(clean.shape)
        x_hat = (runner.reconstruct(np.asarray(corrupt * width + low, np.float32), y) - low) / width
        a, c = _band_gains(clean, corrupt, x_hat)
        b = weigh(corrupt, x_hat, a[None], c[None])
        if not len(contrasts):
            quantiles = np.linspace(0, 1, _CONTRAST_CLASSES + 1)[1:-1]
            contrasts = np.quantile(contrast(x_hat), quantiles).astype(np.float32)
        g = _contrast_gains(clean - x_hat, b - x_hat, contrast(x_hat), contrasts)
        levels = [np.median(noise_level(images)) for images in (corrupt, corrupt.clip(0, 1))]
        row = {"sigmas": sigma, "levels": levels, "noisy": a, "model": c, "places": g}
        for key, value in row.items():
            columns[key].append(value)
    arrays = {key: np.array(values, np.float32) for key, values in columns.items()}
    arrays["levels"] = np.maximum.accumulate(arrays["levels"])
    return Table(**{**arrays, "contrasts": contrasts})


def _band_gains(x: Floats, noisy: Floats, x_hat: Floats) -> tuple[Floats, Floats]:
    """Return the a and c (B, B') with the least squared error of a noisy + c x_hat from x."""
    x, noisy, x_hat = dct(x), dct(noisy), dct(x_hat)

    def moment(one: Floats, other: Floats) -> npt.NDArray[np.float64]:
        """Return the sum of one * other over each band, averaged over images and channels."""
        sums: npt.NDArray[np.float64] = (one * other).mean(axis=(0, 1), dtype=np.float64)
        for axis, size in enumerate(sums.shape):
            starts = np.flatnonzero(np.diff(bands(size), prepend=-1))
            sums = np.add.reduceat(sums, starts, axis=axis)
        return sums

    nn, hh, nh = moment(noisy, noisy), moment(x_hat, x_hat), moment(noisy, x_hat)
    xn, xh = moment(x, noisy), moment(x, x_hat)
    determinant = nn * hh - nh**2 + 1e-9 * nn**2
    a, c = (xn * hh - xh * nh) / determinant, (xh * nn - xn * nh) / determinant
    return a.astype(np.float32), c.astype(np.float32)


def _contrast_gains(target: Floats, step: Floats, contrast: Floats, boundaries: Floats) -> Floats:
    """Return the g (K,) with the least squared error of g * step from `target` in each class.

    `boundaries` (K - 1,) divide the pixels into classes by their `contrast`. The gain of a class
    without pixels is 1.
    """
    classes = np.searchsorted(boundaries, contrast).ravel()
    sums = (
        np.bincount(classes, (factor * step).ravel(), minlength=len(boundaries) + 1)
        for factor in (target, step)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.divide(*sums)
    return np.nan_to_num(gains, nan=1.0, posinf=1.0, neginf=1.0).astype(np.float32)
