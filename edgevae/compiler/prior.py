"""Read the mixture prior of a model from an object or a file."""

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevae import bundle, sampling
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]


def read(
    source: bundle.Mixture | str | os.PathLike[str] | None, latent_shape: tuple[int, ...]
) -> sampling.MixtureTable | None:
    """Return a mixture over latents, from an object or an .npz; None for the standard normal.

    Raises `InputError` if the source is no mixture, or not one over latents of this shape.
    """
    if source is None:
        return None
    if isinstance(source, (str, os.PathLike)):
        where = os.fspath(source)
        weights, means, logvars = _arrays(Path(source))
    else:
        where = "prior"
        weights, means, logvars = source.weights, source.means, source.logvars
    table = sampling.MixtureTable(weights, means, logvars)
    dims = math.prod(latent_shape)
    if table.means.shape[1] != dims:
        raise InputError(
            f"{where}: expected means (K, {dims}) for latents of shape {latent_shape}, got "
            f"{table.means.shape}; fit the prior to this model's latents"
        )
    return table


def _arrays(path: Path) -> tuple[Floats, Floats, Floats]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["weights"], file["means"], file["logvars"]
    except (OSError, ValueError, EOFError, KeyError, IndexError) as error:
        raise InputError(
            f"{path}: expected an .npz with weights (K,), means (K, D) and logvars (K, D), got "
            f"{error}"
        ) from error
