"""The combination of noisy images and their reconstructions by a table."""

import numpy as np
import numpy.typing as npt

from edgevae.denoising.table import Table
from edgevae.denoising.transform import bands, dct, inverse_dct

Floats = npt.NDArray[np.float32]


def blend(noisy: Floats, x_hat: Floats, sigma: Floats, table: Table) -> Floats:
    """Return the estimate of x from noisy images and x_hat, all (N, C, H, W); sigma is (N,)."""
    a, c, class_gains = (
        _at_sigma(sigma, table, gains) for gains in (table.noisy, table.model, table.places)
    )
    step = weigh(noisy, x_hat, a, c)
    step -= x_hat
    step *= _at_contrast(contrast(x_hat), table.contrasts, class_gains)
    step += x_hat
    return step


def weigh(noisy: Floats, x_hat: Floats, a: Floats, c: Floats) -> Floats:
    """Return a * noisy + c * x_hat, with gains (N, B, B') for the bands of their transforms."""
    height, width = noisy.shape[2:]
    a, c = (_by_frequency(gains, height, width) for gains in (a, c))
    return inverse_dct(a * dct(noisy) + c * dct(x_hat))


def _by_frequency(gains: Floats, height: int, width: int) -> Floats:
    """Return gains (N, B, B') of bands as gains of frequencies, (N, 1, height, width)."""
    return gains[:, bands(height)][:, :, bands(width)][:, None]


def contrast(images: Floats) -> Floats:
    """Return the standard deviation of the 3 x 3 pixels around each pixel of images (N, C, H, W).

    The result has their shape. Beyond the border its pixels are repeated.
    """
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    total, squares = np.zeros_like(images), np.zeros_like(images)
    for i in range(3):
        for j in range(3):
            # Differences from the middle, because E[x^2] - E[x]^2 of the pixels themselves would
            # lose all digits of a small deviation.
            difference = padded[:, :, i : i + height, j : j + width] - images
            total += difference
            difference *= difference
            squares += difference
    total *= total
    total /= 9
    squares -= total
    squares /= 9
    deviation: Floats = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return deviation


def _at_contrast(contrast: Floats, boundaries: Floats, gains: Floats) -> Floats:
    """Interpolate gains (N, K) of contrast classes at the contrast of pixels (N, C, H, W).

    A gain holds in the middle of its class. Without interpolation a rounding error of x_hat, which
    differs between processors, would decide the class of a pixel near a boundary.
    """
    classes = gains.shape[1]
    if classes == 1:
        return gains.reshape(-1, 1, 1, 1)
    edges = np.concatenate([[0], boundaries])
    # The last class has no end, and gets the width of the one before.
    edges = np.append(edges, 2 * edges[-1] - edges[-2])
    position = np.interp(contrast, (edges[:-1] + edges[1:]) / 2, np.arange(classes))
    first = np.minimum(position.astype(np.intp), classes - 2)
    share = (position - first).astype(np.float32)
    first += np.arange(len(gains)).reshape(-1, 1, 1, 1) * classes
    steps = np.diff(gains, axis=1, append=0)
    interpolated: Floats = gains.ravel()[first] + share * steps.ravel()[first]
    return interpolated


def _at_sigma(sigma: Floats, table: Table, gains: Floats) -> Floats:
    """Interpolate gains (S, ...) between the table's sigmas, for each item: (N, ...)."""
    position = np.interp(sigma, table.sigmas, np.arange(len(table.sigmas)))
    first = np.minimum(position.astype(np.intp), len(table.sigmas) - 2)
    share = (position - first).astype(np.float32).reshape(-1, *[1] * (gains.ndim - 1))
    interpolated: Floats = (1 - share) * gains[first] + share * gains[first + 1]
    return interpolated
