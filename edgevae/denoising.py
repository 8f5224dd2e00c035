"""Denoise images by combining the noisy image y with the model's reconstruction x_hat of it.

A bottleneck loses detail that light noise does not, so x_hat alone is a poor estimate. Here y and
x_hat are combined with weights that were fitted on training images at the same noise, first by
frequency and then by place:

    b = a y + c x_hat, in each band of the cosine transform   (least squares: the Wiener filter of
                                                               two observations)
    x ~ x_hat + g (b - x_hat)       g depends on the contrast of x_hat around a pixel: in flat
                                    places the model is accurate, and y adds mostly noise

`fit` computes a, c and g at some sigmas; they are interpolated between these. If sigma is unknown
it is estimated from each image. Pixels that a file of 8 bits clipped at black or white are first
restored to their expected values, given x_hat and sigma.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.bundle import Bundle
from edgevae.data import labels
from edgevae.engine import Runner
from edgevae.errors import BundleError, InputError

Floats = npt.NDArray[np.float32]

FILE = "denoise.npz"
# The sigmas of a table, as shares of the largest noise in training.
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
# The number of classes of contrast.
_PLACES = 12
# The smallest height and width with several bands, and with neighbours of a pixel.
_SIDE = 4


class Table(NamedTuple):
    """The weights that `fit` computed at each of S sigmas, in units of the range of x.

    sigmas: (S,), from 0 on.
    levels: (S, 2), the median of `level` at each sigma, of noisy images and of clipped ones.
    noisy, model: (S, B, B'), a and c in each band of vertical and of horizontal frequencies.
    contrasts: (K - 1,), the bounds between the K classes of contrast.
    places: (S, K), g in each class.
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
    y: labels.Numbers | None = None,
) -> Floats:
    """Return the items x (N, *x_shape) without their noise, float32 of the same shape.

    `VAE.denoise` explains sigma; `table` is that of `read`, and `y` (N,) are the class numbers of
    a bundle with classes. Without a table the result is the reconstruction.
    """
    x_range = runner.bundle.x_range
    known = None if sigma is None else _checked(sigma, len(x))
    if table is None or x_range is None or not len(x):
        return runner.reconstruct(x, y)
    low, width = x_range[0], x_range[1] - x_range[0]  # plain numbers, which leave float32 as it is
    noisy: Floats = (x - low) / width
    cut = _is_cut(noisy)
    sigmas = estimate(noisy, cut, table) if known is None else known / width

    def reconstruct(noisy: Floats) -> Floats:
        x_hat: Floats = (runner.reconstruct(noisy * width + low, y) - low) / width
        return x_hat

    x_hat = reconstruct(noisy)
    if (cut & (sigmas > 0)).any():
        np.copyto(noisy, restored(noisy, x_hat, sigmas), where=cut.reshape(-1, 1, 1, 1))
        x_hat = reconstruct(noisy)
    clean = blend(noisy, x_hat, sigmas, table).clip(0, 1) * width + low
    return np.asarray(clean, np.float32)


def _checked(sigma: float | npt.ArrayLike, items: int) -> Floats:
    try:
        each = np.broadcast_to(np.asarray(sigma, np.float32), (items,))
    except (TypeError, ValueError):
        each = np.array([np.nan], np.float32)
    if not np.isfinite(each).all() or (each < 0).any():
        raise InputError(
            f"sigma: expected a finite number of at least 0, in x's units, or one for each of "
            f"{items} items, got {sigma!r:.60}"
        )
    return each


# --- the amount of noise ---------------------------------------------------------------------


def level(y: Floats) -> Floats:
    """Return an estimate of the noise in each of the images y (N, C, H, W): (N,), in y's units.

    It is the median absolute value of the diagonal Laplacian [1 -2 1] x [1 -2 1], to which smooth
    regions and straight edges add little (Immerkaer 1996, "Fast noise variance estimation"),
    divided by .6745 as for a normal's standard deviation (Donoho and Johnstone 1994), and averaged
    over the channels.
    """
    down = y[:, :, :-2] - 2 * y[:, :, 1:-1] + y[:, :, 2:]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    sizes = np.abs(both).reshape(*y.shape[:2], -1) / 6
    medians: Floats = np.median(sizes, axis=2).mean(axis=1) / np.float32(0.6745)
    return medians


def estimate(y: Floats, cut: npt.NDArray[np.bool_], table: Table) -> Floats:
    """Return the sigma of each image's noise, at which training images had the same level: (N,).

    It is 0 for a level of at most that of clean images, and at most the table's largest sigma.
    `cut` (N,) is true for clipped images.
    """
    levels, sigmas = level(y), np.empty(len(y), np.float32)
    for column, rows in enumerate((~cut, cut)):
        sigmas[rows] = np.interp(levels[rows], table.levels[:, column], table.sigmas)
    return sigmas


def _is_cut(y: Floats) -> npt.NDArray[np.bool_]:
    """Return true for each image within [0, 1] that reaches 0 or 1, as clipped ones do: (N,)."""
    flat = y.reshape(len(y), math.prod(y.shape[1:]))
    low, high = flat.min(1), flat.max(1)
    clipped: npt.NDArray[np.bool_] = (low >= 0) & (high <= 1) & ((low == 0) | (high == 1))
    return clipped


def restored(y: Floats, x_hat: Floats, sigma: Floats) -> Floats:
    """Return y with the expected values of the pixels that were clipped at 0 or 1.

    With x = x_hat it is the mean of a normal's tail: x_hat - sigma phi(t) / Phi(t) below 0, with
    t = -x_hat / sigma, and likewise above 1.
    """
    scale = np.maximum(sigma, np.float32(1e-6)).reshape(-1, 1, 1, 1)
    below = np.minimum(x_hat - scale * _tail(-x_hat / scale), 0)
    above = np.maximum(x_hat + scale * _tail((x_hat - np.float32(1)) / scale), 1)
    pixels: Floats = np.where(y <= 0, below, np.where(y >= 1, above, y)).astype(np.float32)
    return pixels


_T = np.linspace(-8, 8, 641)
_TAILS = [math.sqrt(2 / math.pi) * math.exp(-t * t / 2) / math.erfc(-t / math.sqrt(2)) for t in _T]


def _tail(t: Any) -> Any:
    """Return phi(t) / Phi(t) of the standard normal, with t clipped to [-8, 8]."""
    return np.interp(t, _T, _TAILS).astype(np.float32)


# --- the combination of y and x_hat ----------------------------------------------------------


def blend(y: Floats, x_hat: Floats, sigma: Floats, table: Table) -> Floats:
    """Return the estimate of x from images y (N, C, H, W), of noise sigma (N,), and x_hat."""
    noisy, model, places = (
        _interpolated(sigma, table, gains) for gains in (table.noisy, table.model, table.places)
    )
    combined = _combine_bands(y, x_hat, noisy, model)
    kinds = np.searchsorted(table.contrasts, contrast(x_hat))
    gains = np.take_along_axis(places, kinds.reshape(len(y), -1), axis=1).reshape(y.shape)
    estimate: Floats = x_hat + gains * (combined - x_hat)
    return estimate


def _combine_bands(y: Floats, x_hat: Floats, noisy: Floats, model: Floats) -> Floats:
    """Return noisy * y + model * x_hat, by gains (N, B, B') in the bands of their transforms."""
    shape = y.shape[2:]
    noisy, model = _gains_of_frequencies(noisy, shape), _gains_of_frequencies(model, shape)
    return _inverse(noisy * _transform(y) + model * _transform(x_hat))


def contrast(x: Floats) -> Floats:
    """Return the standard deviation of the 3 x 3 pixels around each, repeated at the border."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    mean = _mean_3x3(padded)
    deviation: Floats = np.sqrt(np.maximum(_mean_3x3(padded * padded) - mean * mean, 0))
    return deviation


def _mean_3x3(padded: Floats) -> Floats:
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    total: Floats = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
    return total


def _interpolated(sigma: Floats, table: Table, gains: Floats) -> Floats:
    """Return gains (S, ...) interpolated at the sigma of each item: (N, ...)."""
    place = np.interp(sigma, table.sigmas, np.arange(len(table.sigmas)))
    first = np.minimum(place.astype(np.intp), len(table.sigmas) - 2)
    part = (place - first).astype(np.float32).reshape(-1, *[1] * (gains.ndim - 1))
    between: Floats = (1 - part) * gains[first] + part * gains[first + 1]
    return between


def bands(size: int) -> npt.NDArray[np.intp]:
    """Return the band of each of `size` frequencies: (size,). Higher bands are wider."""
    edges = np.unique(np.round(np.geomspace(1, size, 15)).astype(int))
    edges[0] = 0
    numbers: npt.NDArray[np.intp] = np.searchsorted(edges[:-1], np.arange(size), side="right") - 1
    return numbers


def _gains_of_frequencies(gains: Floats, shape: tuple[int, ...]) -> Floats:
    """Return gains (N, B, B') of bands as gains (N, 1, H, W) of frequencies."""
    height, width = shape
    return gains[:, bands(height)][:, :, bands(width)][:, None]


def _transform(y: Floats) -> Floats:
    """Return the orthonormal cosine transform (DCT-II) of images."""
    height, width = y.shape[2:]
    coefficients: Floats = np.matmul(np.matmul(_cosines(height), y), _cosines(width).T)
    return coefficients


def _inverse(coefficients: Floats) -> Floats:
    height, width = coefficients.shape[2:]
    y: Floats = np.matmul(np.matmul(_cosines(height).T, coefficients), _cosines(width))
    return y


def _cosines(size: int) -> Floats:
    frequency, place = np.ogrid[:size, :size]
    basis = np.sqrt(2 / size) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * size))
    basis[0] /= math.sqrt(2)
    cosines: Floats = basis.astype(np.float32)
    return cosines


# --- the table -------------------------------------------------------------------------------


def fit(runner: Runner, x: Floats, y: labels.Numbers | None = None, seed: int = 0) -> Table:
    """Return the table of a bundle that denoises images, from training items x (N, *x_shape).

    A few thousand items are enough. `y` (N,) are the class numbers of a bundle with classes.
    Raises `InputError` for a bundle that cannot use a table.
    """
    bundle = runner.bundle
    span = bundle.x_range
    if not bundle.data.drawable or span is None or min(bundle.x_shape[1:]) < _SIDE:
        raise InputError(f"bundle {bundle.name!r}: expected images of {_SIDE} pixels a side")
    if not bundle.noise:
        raise InputError(f"bundle {bundle.name!r} was not trained to denoise: nothing to weigh")
    low, width = span[0], span[1] - span[0]
    clean = np.ascontiguousarray((x - low) / width, np.float32)
    eps = sampling.normal(len(x), clean[0].size, seed=seed, purpose=sampling.CORRUPTION)
    contrasts = np.empty(0, np.float32)
    columns: dict[str, list[Any]] = {key: [] for key in Table._fields}
    for share in SHARES:
        sigma = share * bundle.noise / width
        corrupt: Floats = clean + np.float32(sigma) * eps.reshape(clean.shape)
        x_hat = (runner.reconstruct(np.asarray(corrupt * width + low, np.float32), y) - low) / width
        noisy, model = _band_gains(clean, corrupt, x_hat)
        combined = _combine_bands(corrupt, x_hat, noisy[None], model[None])
        if not len(contrasts):
            shares = np.linspace(0, 1, _PLACES + 1)[1:-1]
            contrasts = np.quantile(contrast(x_hat), shares).astype(np.float32)
        places = _place_gains(clean - x_hat, combined - x_hat, contrast(x_hat), contrasts)
        levels = [np.median(level(each)) for each in (corrupt, corrupt.clip(0, 1))]
        row = {"sigmas": sigma, "levels": levels, "noisy": noisy, "model": model, "places": places}
        for key, value in row.items():
            columns[key].append(value)
    tables = {key: np.array(values, np.float32) for key, values in columns.items()}
    tables["levels"] = np.maximum.accumulate(tables["levels"])
    return Table(**{**tables, "contrasts": contrasts})


def _band_gains(x: Floats, y: Floats, x_hat: Floats) -> tuple[Floats, Floats]:
    """Return a and c, (B, B'), with the least squared error of a y + c x_hat in each band."""
    x, y, x_hat = _transform(x), _transform(y), _transform(x_hat)

    def moment(one: Floats, other: Floats) -> npt.NDArray[np.float64]:
        sums: npt.NDArray[np.float64] = (one * other).mean(axis=(0, 1), dtype=np.float64)
        for axis, size in enumerate(sums.shape):
            starts = np.flatnonzero(np.diff(bands(size), prepend=-1))
            sums = np.add.reduceat(sums, starts, axis=axis)
        return sums

    yy, hh, yh = moment(y, y), moment(x_hat, x_hat), moment(y, x_hat)
    xy, xh = moment(x, y), moment(x, x_hat)
    determinant = yy * hh - yh**2 + 1e-9 * yy**2
    noisy = (xy * hh - xh * yh) / determinant
    return noisy.astype(np.float32), ((xh * yy - xy * yh) / determinant).astype(np.float32)


def _place_gains(target: Floats, step: Floats, contrast: Floats, contrasts: Floats) -> Floats:
    """Return g, (K,), with the least squared error of g * step from target in each class."""
    kinds = np.searchsorted(contrasts, contrast).ravel()
    sums = (
        np.bincount(kinds, (part * step).ravel(), minlength=len(contrasts) + 1)
        for part in (target, step)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.divide(*sums)
    return np.nan_to_num(gains, nan=1.0, posinf=1.0, neginf=1.0).astype(np.float32)


def read(bundle: Bundle) -> Table | None:
    """Return the table of a bundle; None if it has none. Raises `BundleError` for a wrong one."""
    arrays: Mapping[str, npt.NDArray[Any]] | None = bundle.arrays(FILE)
    if arrays is None:
        return None
    sides = bundle.x_shape[1:] if bundle.data.drawable else (1, 1)
    each = tuple(int(bands(side)[-1]) + 1 for side in sides)
    sigmas, kinds = (len(arrays[key]) if key in arrays else 0 for key in ("sigmas", "contrasts"))
    shapes = {
        "sigmas": (sigmas,),
        "levels": (sigmas, 2),
        "noisy": (sigmas, *each),
        "model": (sigmas, *each),
        "contrasts": (kinds,),
        "places": (sigmas, kinds + 1),
    }
    for key, shape in shapes.items():
        if key not in arrays or arrays[key].shape != shape or sigmas < 2:
            got = arrays[key].shape if key in arrays else "nothing"
            raise BundleError(
                f"{bundle.path / FILE}: expected {key} of shape {shape}, got {got}; make it again "
                f"with `python -m train denoise`"
            )
    return Table(**{key: np.asarray(arrays[key], np.float32) for key in shapes})
