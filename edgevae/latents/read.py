"""Read latents as callers pass them: one, or a batch."""

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae._core import are_rows
from edgevae.checks import LARGEST
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]


def read_latents(z: npt.ArrayLike, latent_shape: tuple[int, ...]) -> tuple[Floats, bool]:
    """Return z as float32 rows (N, *latent_shape), and True if it was a single latent.

    Raises `InputError` for another shape or type, and for NaN and infinity.
    """
    if type(z) is np.ndarray and are_rows(z, latent_shape, -LARGEST, LARGEST):
        return z, False  # as most callers pass them
    rows = checks.latents(z)
    shape = rows.shape
    if shape[1:] == latent_shape:
        return rows, False
    if shape == latent_shape:
        return rows[None], True
    dims = ", ".join(map(str, latent_shape))
    raise InputError(f"z: expected shape (N, {dims}) or ({dims}), got {shape}")
