"""Denoising: x_hat where noise does more harm than the model, the noisy item where it does less.

A bottleneck loses detail that light noise does not, so x_hat alone is a poor answer to it. Here y,
the noisy item, and x_hat are weighed by what each was worth on training items at that noise, once
by frequency and once by place:

    b = sum over bands of the cosine transform: a y + c x_hat     (least squares, a Wiener filter
                                                                   of two observations)
    x ~ x_hat + g (b - x_hat)       g by the contrast of x_hat around a pixel: where a picture is
                                    flat the model errs little, and what is left of y is noise

`fit` finds a, c, g at some sigmas; between them they are interpolated. Where sigma is not told it
is estimated from each item. What a file of 8 bits has cut off at black and white is put back
first, as far as x_hat and sigma tell.
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
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)  # of the largest noise in training
_PLACES = 12  # kinds of places, by contrast
_SIDE = 4  # pixels that an image has at least, for there to be bands and neighbours


class Table(NamedTuple):
    """What `fit` found at each of S sigmas, in units of the range of x.

    sigmas (S,), from 0 on. levels (S, 2): the median of `level` at each, of items as they are and
    of items cut off at the ends of the range. noisy, model (S, B, B'): a and c in each band of
    the vertical and the horizontal frequencies. contrasts (K - 1,): between the K kinds of
    places. places (S, K): g in each.
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


# --- how much noise --------------------------------------------------------------------------


def level(y: Floats) -> Floats:
    """What looks like noise in each of the images y (N, C, H, W): (N,), in y's units.

    The median size of the diagonal Laplacian [1 -2 1] x [1 -2 1], to which smooth places and
    straight edges add little (Immerkaer 1996, "Fast noise variance estimation"), over .6745 as
    for a normal's standard deviation (Donoho and Johnstone 1994); the mean over channels.
    """
    down = y[:, :, :-2] - 2 * y[:, :, 1:-1] + y[:, :, 2:]
    both = down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]
    sizes = np.abs(both).reshape(*y.shape[:2], -1) / 6
    medians: Floats = np.median(sizes, axis=2).mean(axis=1) / np.float32(0.6745)
    return medians


def estimate(y: Floats, cut: npt.NDArray[np.bool_], table: Table) -> Floats:
    """The sigma of each image's noise, by the level that training images had at each sigma.

    0 where it is at most that of a clean image; at most the largest sigma of the table.
    """
    levels, found = level(y), np.empty(len(y), np.float32)
    for column, rows in enumerate((~cut, cut)):
        found[rows] = np.interp(levels[rows], table.levels[:, column], table.sigmas)
    return found


def _is_cut(y: Floats) -> npt.NDArray[np.bool_]:
    """Whether an image never leaves [0, 1] and touches an end, as those of 8 bits do: (N,)."""
    flat = y.reshape(len(y), math.prod(y.shape[1:]))
    least, most = flat.min(1), flat.max(1)
    inside: npt.NDArray[np.bool_] = (least >= 0) & (most <= 1) & ((least == 0) | (most == 1))
    return inside


def restored(y: Floats, x_hat: Floats, sigma: Floats) -> Floats:
    """y with pixels that were cut off at 0 or 1 as they may be expected to have been.

    With x = x_hat that is the mean of a normal's tail, x_hat - sigma phi(t) / Phi(t) below 0 with
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
    """phi(t) / Phi(t) of the standard normal; what is beyond 8 counts as 8."""
    return np.interp(t, _T, _TAILS).astype(np.float32)


# --- noisy item and model, weighed -----------------------------------------------------------


def blend(y: Floats, x_hat: Floats, sigma: Floats, table: Table) -> Floats:
    """What the images y (N, C, H, W), of noise sigma (N,), and x_hat together say of x."""
    blended = _weighed(y, x_hat, _at(sigma, table, table.noisy), _at(sigma, table, table.model))
    gains = _at(sigma, table, table.places)
    kinds = np.searchsorted(table.contrasts, contrast(x_hat))
    place = np.take_along_axis(gains, kinds.reshape(len(y), -1), axis=1).reshape(y.shape)
    whole: Floats = x_hat + place * (blended - x_hat)
    return whole


def _weighed(y: Floats, x_hat: Floats, noisy: Floats, model: Floats) -> Floats:
    """noisy * y + model * x_hat, by gains (N, B, B') in bands of their transforms."""
    whole = _spread(noisy, y) * _transform(y) + _spread(model, y) * _transform(x_hat)
    return _inverse(whole)


def contrast(x: Floats) -> Floats:
    """The standard deviation among the 3 x 3 pixels around each, repeated at the border."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    mean = _around(padded)
    spread: Floats = np.sqrt(np.maximum(_around(padded * padded) - mean * mean, 0))
    return spread


def _around(padded: Floats) -> Floats:
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    total: Floats = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
    return total


def _at(sigma: Floats, table: Table, gains: Floats) -> Floats:
    """gains (S, ...) between the table's sigmas, for each item: (N, ...)."""
    place = np.interp(sigma, table.sigmas, np.arange(len(table.sigmas)))
    first = np.minimum(place.astype(np.intp), len(table.sigmas) - 2)
    part = (place - first).astype(np.float32).reshape(-1, *[1] * (gains.ndim - 1))
    between: Floats = (1 - part) * gains[first] + part * gains[first + 1]
    return between


def bands(size: int) -> npt.NDArray[np.intp]:
    """The band of each of `size` frequencies: (size,). They widen with the frequency."""
    edges = np.unique(np.round(np.geomspace(1, size, 15)).astype(int))
    edges[0] = 0
    found: npt.NDArray[np.intp] = np.searchsorted(edges[:-1], np.arange(size), side="right") - 1
    return found


def _spread(gains: Floats, y: Floats) -> Floats:
    """gains (N, B, B') of bands as gains of frequencies, (N, 1, H, W)."""
    height, width = y.shape[2:]
    return gains[:, bands(height)][:, :, bands(width)][:, None]


def _transform(y: Floats) -> Floats:
    """The orthonormal cosine transform (DCT-II) of images."""
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


# --- what training items teach ---------------------------------------------------------------


def fit(runner: Runner, x: Floats, y: labels.Numbers | None = None, seed: int = 0) -> Table:
    """Measure the table of a bundle that denoises images, by training items x (N, *x_shape).

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
    found: dict[str, list[Any]] = {key: [] for key in Table._fields}
    for share in SHARES:
        sigma = share * bundle.noise / width
        corrupt: Floats = clean + np.float32(sigma) * eps.reshape(clean.shape)
        x_hat = (runner.reconstruct(np.asarray(corrupt * width + low, np.float32), y) - low) / width
        noisy, model = _band_gains(clean, corrupt, x_hat)
        blended = _weighed(corrupt, x_hat, noisy[None], model[None])
        if not len(contrasts):
            shares = np.linspace(0, 1, _PLACES + 1)[1:-1]
            contrasts = np.quantile(contrast(x_hat), shares).astype(np.float32)
        places = _place_gains(clean - x_hat, blended - x_hat, contrast(x_hat), contrasts)
        levels = [np.median(level(each)) for each in (corrupt, corrupt.clip(0, 1))]
        row = {"sigmas": sigma, "levels": levels, "noisy": noisy, "model": model, "places": places}
        for key, value in row.items():
            found[key].append(value)
    tables = {key: np.array(values, np.float32) for key, values in found.items()}
    tables["levels"] = np.maximum.accumulate(tables["levels"])
    return Table(**{**tables, "contrasts": contrasts})


def _band_gains(x: Floats, y: Floats, x_hat: Floats) -> tuple[Floats, Floats]:
    """a and c, (B, B'), by which a y + c x_hat has the least squared error from x in each band."""
    x, y, x_hat = _transform(x), _transform(y), _transform(x_hat)

    def moment(one: Floats, other: Floats) -> npt.NDArray[np.float64]:
        each: npt.NDArray[np.float64] = (one * other).mean(axis=(0, 1), dtype=np.float64)
        for axis, size in enumerate(each.shape):
            starts = np.flatnonzero(np.diff(bands(size), prepend=-1))
            each = np.add.reduceat(each, starts, axis=axis)
        return each

    yy, hh, yh = moment(y, y), moment(x_hat, x_hat), moment(y, x_hat)
    xy, xh = moment(x, y), moment(x, x_hat)
    determinant = yy * hh - yh**2 + 1e-9 * yy**2
    noisy = (xy * hh - xh * yh) / determinant
    return noisy.astype(np.float32), ((xh * yy - xy * yh) / determinant).astype(np.float32)


def _place_gains(right: Floats, step: Floats, found: Floats, contrasts: Floats) -> Floats:
    """g, (K,), by which g * step is nearest to `right` in each kind of places."""
    kinds = np.searchsorted(contrasts, found).ravel()
    sums = (
        np.bincount(kinds, (part * step).ravel(), minlength=len(contrasts) + 1)
        for part in (right, step)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.divide(*sums)
    return np.nan_to_num(gains, nan=1.0, posinf=1.0, neginf=1.0).astype(np.float32)


def read(bundle: Bundle) -> Table | None:
    """The table of a bundle; None where it has none. Raises `BundleError` for a wrong one."""
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
