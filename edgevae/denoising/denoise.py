"""Denoise images: estimate the noise, restore clipped pixels, combine with the reconstruction."""

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.data import ClassNumbers
from edgevae.denoising.blend import blend
from edgevae.denoising.noise import estimate_sigma, is_clipped, restore_clipped
from edgevae.denoising.table import Table
from edgevae.engine import Runner
from edgevae.errors import InputError, show

Floats = npt.NDArray[np.float32]


_NOTHING = np.array(np.nan, np.float32)  # what stands for a sigma that is no number


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
        given = np.asarray(sigma)
        usable = given.dtype.kind in "fiu" and given.shape in ((), (1,), (items,))
        sigmas = np.broadcast_to(checks.floats(given, "sigma") if usable else _NOTHING, (items,))
    except Exception:  # of lists of different lengths, of `__array__`
        sigmas = _NOTHING
    if not np.isfinite(sigmas).all() or (sigmas < 0).any():
        raise InputError(
            f"sigma: expected a finite number of at least 0, in x's units, or one for each of "
            f"{items} items, got {show(sigma)}"
        )
    return sigmas
