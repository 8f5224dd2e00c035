"""The table of a bundle that denoises images, and how it is read."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.denoising.transform import bands
from edgevae.errors import BundleError

Floats = npt.NDArray[np.float32]

FILE = "denoise.npz"


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


def read(bundle: Bundle) -> Table | None:
    """Return the table of a bundle, or None if it has none.

    Raises `BundleError` for arrays that are missing or of another shape, and for sigmas and
    contrasts that do not ascend.
    """
    arrays = bundle.float32_arrays(FILE)
    if arrays is None:
        return None
    sides = bundle.data.x_shape[1:] if bundle.data.drawable else (1, 1)
    band_counts = tuple(int(bands(side)[-1]) + 1 for side in sides)
    sigmas, boundaries = (
        arrays[key].size if key in arrays else 0 for key in ("sigmas", "contrasts")
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
    table = Table(**{key: arrays[key] for key in shapes})
    ascend = (np.diff(table.sigmas) > 0).all() and (np.diff(table.contrasts) >= 0).all()
    if table.sigmas[0] != 0 or not ascend:
        raise BundleError(
            f"{bundle.path / FILE}: expected sigmas that ascend from 0, and contrasts that ascend, "
            f"got others; create it again with `python -m train denoise`"
        )
    return table
