"""Denoise images: combine a noisy image with its reconstruction.

The reconstruction x_hat has less noise than the noisy image but lacks fine detail, so under light
noise it is farther from the clean image x than the noisy image is. `blend` weighs the two, first
in each frequency band of the cosine transform, then by the local contrast:

    b = a noisy + c x_hat      in each band, with the a and c of the least squared error from x on
                               training images (a Wiener filter of two observations)
    x ~ x_hat + g (b - x_hat)  at each pixel, with a g that depends on the contrast of x_hat around
                               it: in flat areas x_hat has little error, and the difference of b is
                               mostly noise

`fit` measures a, c and g on training images at several noise levels sigma; in between, they are
interpolated. If sigma is not known, `estimate_sigma` estimates it from each image. An image of 8
bits has its noise clipped at black and white; `restore_clipped` replaces clipped pixels by their
expected values before the two images are combined.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.bundle import Bundle
from edgevae.data import ClassNumbers
from edgevae.engine import Runner
from edgevae.errors import BundleError, InputError

Floats = npt.NDArray[np.float32]

FILE = "denoise.npz"
# The noise levels of a table, as shares of the largest sigma that the model was trained on.
SIGMA_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
# The number of contrast classes, each of which has a g.
_CONTRAST_CLASSES = 12
# The smallest height and width of images that have several bands and 3 x 3 neighbourhoods.
_MIN_SIDE = 4


class Table(NamedTuple):
    """The weights of the noisy image and x_hat at S noise levels, in units of the range of x.

    sigmas (S,): ascending, from 0.
    levels (S, 2): the median `noise_level` of images at each sigma, as they are and clipped to the
        range of x.
    noisy, model (S, B, B'): a and c in each band of the vertical and the horizontal frequencies.
    contrasts (K - 1,): the boundaries between the K classes of contrast, ascending.
    places (S, K): g in each class of contrast.
    """

    sigmas: Floats
    levels: Floats
    noisy: Floats
    model: Floats
    contrasts: Floats
    places: Floats


def denoise(
    runner: Runner,
    table: Table | None,
    x: Floats,
    sigma: float | npt.ArrayLike | None,
    y: ClassNumbers | None = None,
) -> Floats:
    """Return the items x (N, *x_shape) without their noise: float32 of the same shape.

    `sigma` is the standard deviation of the noise in x's units, one number or one for each item;
    None estimates it from each image. `table` is that of `read`; without a table the result is the
    reconstruction. `y` (N,) are the class numbers of a bundle with classes. Raises `InputError` for
    a sigma that is negative or not finite.
    """
    x_range = runner.bundle.data.x_range
    known_sigma = None if sigma is None else _check_sigma(sigma, len(x))
    if table is None or x_range is None or not len(x):
        return runner.reconstruct(x, y)
    low, width = x_range[0], x_range[1] - x_range[0]  # Python's floats, which keep x float32
    noisy: Floats = (x - low) / width
    clipped = is_clipped(noisy)
    sigmas = estimate_sigma(noisy, clipped, table) if known_sigma is None else known_sigma / width

    def reconstruct(noisy: Floats, y: ClassNumbers | None) -> Floats:
        x_hat: Floats = (runner.reconstruct(noisy * width + low, y) - low) / width
        return x_hat

    x_hat = reconstruct(noisy, y)
    again = np.flatnonzero(clipped & (sigmas > 0))
    if len(again):
        noisy[again] = restore_clipped(noisy[again], x_hat[again], sigmas[again])
        x_hat[again] = reconstruct(noisy[again], None if y is None else y[again])
    clean = blend(noisy, x_hat, sigmas, table).clip(0, 1) * width + low
    return np.asarray(clean, np.float32)


def _check_sigma(sigma: float | npt.ArrayLike, items: int) -> Floats:
    """Return sigma for each item (N,). Raises `InputError`."""
    try:
        sigmas = np.broadcast_to(np.asarray(sigma, np.float32), (items,))
    except (TypeError, ValueError):
        sigmas = np.array([np.nan], np.float32)
    if not np.isfinite(sigmas).all() or (sigmas < 0).any():
        raise InputError(
            f"sigma: expected a finite number of at least 0, in x's units, or one for each of "
            f"{items} items, got {sigma!r:.60}"
        )
    return sigmas


# --- the noise level -------------------------------------------------------------------------


def noise_level(images: Floats) -> Floats:
    """Return a robust measure of the noise in images (N, C, H, W): (N,), in their units.

    It is the median magnitude of the Laplacian [1 -2 1] x [1 -2 1], to which smooth areas and
    straight edges contribute little (Immerkaer 1996, "Fast noise variance estimation"), divided by
    .6745 to give the standard deviation of normal noise (Donoho and Johnstone 1994), and averaged
    over the channels.
    """
    down = images[:, :, :-2] - 2 * images[:, :, 1:-1] + images[:, :, 2:]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    magnitudes = np.abs(both).reshape(*images.shape[:2], -1) / 6
    levels: Floats = np.median(magnitudes, axis=2).mean(axis=1) / np.float32(0.6745)
    return levels


def estimate_sigma(noisy: Floats, clipped: npt.NDArray[np.bool_], table: Table) -> Floats:
    """Return sigma of each image (N,), by the noise levels of training images at each sigma.

    `clipped` (N,) is true for the images that were clipped to their range. The result is 0 for a
    noise level of at most that of a clean image, and never above the largest sigma of the table.
    """
    levels, sigmas = noise_level(noisy), np.empty(len(noisy), np.float32)
    for column, rows in enumerate((~clipped, clipped)):
        sigmas[rows] = np.interp(levels[rows], table.levels[:, column], table.sigmas)
    return sigmas


def is_clipped(images: Floats) -> npt.NDArray[np.bool_]:
    """Return a mask (N,) of the images that look clipped, as images of 8 bits are.

    Such an image lies within [0, 1] and reaches 0 or 1.
    """
    flat = images.reshape(len(images), math.prod(images.shape[1:]))
    lowest, highest = flat.min(1), flat.max(1)
    clipped: npt.NDArray[np.bool_] = (
        (lowest >= 0) & (highest <= 1) & ((lowest == 0) | (highest == 1))
    )
    return clipped


def restore_clipped(noisy: Floats, x_hat: Floats, sigma: Floats) -> Floats:
    """Return images with the pixels that were clipped at 0 or 1 replaced by expected values.

    The images (N, C, H, W) have noise of sigma (N,). For x = x_hat the expected value is the mean
    of a normal distribution's tail: below 0 it is x_hat - sigma phi(t) / Phi(t) with
    t = -x_hat / sigma, and above 1 it is the mirror image.
    """
    scale = np.maximum(sigma, np.float32(1e-6)).reshape(-1, 1, 1, 1)
    x_hat, scale = (np.broadcast_to(each, noisy.shape) for each in (x_hat, scale))
    restored = noisy.copy()
    at = noisy <= 0
    model, scales = x_hat[at], scale[at]
    restored[at] = np.minimum(model - scales * _inverse_mills_ratio(-model / scales), 0)
    at = noisy >= 1
    excess, scales = x_hat[at] - np.float32(1), scale[at]
    restored[at] = 1 + np.maximum(excess + scales * _inverse_mills_ratio(excess / scales), 0)
    return restored


# phi(t) / Phi(t) of the standard normal at points t.
_T = np.linspace(-8, 8, 641)
_INVERSE_MILLS_RATIOS = np.array(
    [math.sqrt(2 / math.pi) * math.exp(-t * t / 2) / math.erfc(-t / math.sqrt(2)) for t in _T]
)


def _inverse_mills_ratio(t: Any) -> Any:
    """Return the inverse Mills ratio phi(t) / Phi(t), interpolated, with t clipped to [-8, 8]."""
    return np.interp(t, _T, _INVERSE_MILLS_RATIOS).astype(np.float32)


# --- the combination of noisy image and reconstruction ---------------------------------------


def blend(noisy: Floats, x_hat: Floats, sigma: Floats, table: Table) -> Floats:
    """Return the estimate of x from noisy images and x_hat, all (N, C, H, W); sigma is (N,)."""
    a, c, class_gains = (
        _at_sigma(sigma, table, gains) for gains in (table.noisy, table.model, table.places)
    )
    step = _weigh(noisy, x_hat, a, c)
    step -= x_hat
    step *= _at_contrast(contrast(x_hat), table.contrasts, class_gains)
    step += x_hat
    return step


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


def _weigh(noisy: Floats, x_hat: Floats, a: Floats, c: Floats) -> Floats:
    """Return a * noisy + c * x_hat, with gains (N, B, B') for the bands of their transforms."""
    height, width = noisy.shape[2:]
    a, c = (_by_frequency(gains, height, width) for gains in (a, c))
    return inverse_dct(a * dct(noisy) + c * dct(x_hat))


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


def _at_sigma(sigma: Floats, table: Table, gains: Floats) -> Floats:
    """Interpolate gains (S, ...) between the table's sigmas, for each item: (N, ...)."""
    position = np.interp(sigma, table.sigmas, np.arange(len(table.sigmas)))
    first = np.minimum(position.astype(np.intp), len(table.sigmas) - 2)
    share = (position - first).astype(np.float32).reshape(-1, *[1] * (gains.ndim - 1))
    interpolated: Floats = (1 - share) * gains[first] + share * gains[first + 1]
    return interpolated


def bands(size: int) -> npt.NDArray[np.intp]:
    """Return the band of each of `size` frequencies: (size,). Higher bands are wider."""
    edges = np.unique(np.round(np.geomspace(1, size, 15)).astype(int))
    edges[0] = 0
    band: npt.NDArray[np.intp] = np.searchsorted(edges[:-1], np.arange(size), side="right") - 1
    return band


def _by_frequency(gains: Floats, height: int, width: int) -> Floats:
    """Return gains (N, B, B') of bands as gains of frequencies, (N, 1, height, width)."""
    return gains[:, bands(height)][:, :, bands(width)][:, None]


def dct(images: Floats) -> Floats:
    """Return the orthonormal cosine transform (DCT-II) of images (N, C, H, W)."""
    height, width = images.shape[2:]
    coefficients: Floats = np.matmul(np.matmul(_dct_matrix(height), images), _dct_matrix(width).T)
    return coefficients


def inverse_dct(coefficients: Floats) -> Floats:
    """Return the images (N, C, H, W) that have the coefficients of `dct`."""
    height, width = coefficients.shape[2:]
    images: Floats = np.matmul(np.matmul(_dct_matrix(height).T, coefficients), _dct_matrix(width))
    return images


@functools.cache
def _dct_matrix(size: int) -> Floats:
    """Return the matrix (size, size) whose rows are cosines of ascending frequency."""
    frequency, pixel = np.ogrid[:size, :size]
    basis = np.sqrt(2 / size) * np.cos(np.pi * frequency * (2 * pixel + 1) / (2 * size))
    basis[0] /= math.sqrt(2)
    matrix: Floats = basis.astype(np.float32)
    return matrix


# --- the table of a bundle -------------------------------------------------------------------


def fit(runner: Runner, x: Floats, y: ClassNumbers | None = None, seed: int = 0) -> Table:
    """Return the table of a bundle that denoises images, by training items x (N, *x_shape).

    A few thousand items are enough. `y` (N,) are the class numbers of a bundle with classes.
    `seed` determines the noise. Raises `InputError` for a bundle that cannot use a table.
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
    eps = sampling.normal(len(x), clean[0].size, seed=seed, purpose=sampling.CORRUPTION)
    contrasts = np.empty(0, np.float32)
    columns: dict[str, list[Any]] = {key: [] for key in Table._fields}
    for share in SIGMA_SHARES:
        sigma = share * bundle.noise / width
        corrupt: Floats = clean + np.float32(sigma) * eps.reshape(clean.shape)
        x_hat = (runner.reconstruct(np.asarray(corrupt * width + low, np.float32), y) - low) / width
        a, c = _band_gains(clean, corrupt, x_hat)
        b = _weigh(corrupt, x_hat, a[None], c[None])
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


def read(bundle: Bundle) -> Table | None:
    """Return the table of a bundle, or None if it has none.

    Raises `BundleError` for arrays that are missing or of another shape.
    """
    arrays: Mapping[str, npt.NDArray[Any]] | None = bundle.arrays(FILE)
    if arrays is None:
        return None
    sides = bundle.data.x_shape[1:] if bundle.data.drawable else (1, 1)
    band_counts = tuple(int(bands(side)[-1]) + 1 for side in sides)
    sigmas, boundaries = (
        len(arrays[key]) if key in arrays else 0 for key in ("sigmas", "contrasts")
    )
    shapes = {
        "sigmas": (sigmas,),
        "levels": (sigmas, 2),
        "noisy": (sigmas, *band_counts),
        "model": (sigmas, *band_counts),
        "contrasts": (boundaries,),
        "places": (sigmas, boundaries + 1),
    }
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape or sigmas < 2:
            got = arrays[key].shape if key in arrays else "nothing"
            raise BundleError(
                f"{bundle.path / FILE}: expected {key} of shape {shape}, got {got}; create it "
                f"again with `python -m train denoise`"
            )
    return Table(**{key: np.asarray(arrays[key], np.float32) for key in shapes})
