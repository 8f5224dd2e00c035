"""The prior p(z): draw latents by seed, row number, temperature and class."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevae import checks, sampling
from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]
ClassNumbers = npt.NDArray[np.int64]


class Prior:
    """The distribution that generated latents are drawn from.

    It is the standard normal N(0, I) where `mixture` is None, else a mixture of K diagonal
    Gaussians over the flattened latent. With `classes` > 0 each class has a mixture of its own:
    the K components are divided into as many blocks of equal size, in the order of the classes.
    """

    def __init__(
        self, latent_shape: Sequence[int], mixture: MixtureTable | None = None, classes: int = 0
    ) -> None:
        self.latent_shape = tuple(latent_shape)
        self.dims = math.prod(self.latent_shape)
        self._is_flat = len(self.latent_shape) == 1
        self.mixture = mixture
        self._mixtures = _split(mixture, classes) if mixture is not None and classes else []

    def draw(
        self,
        n: int,
        *,
        seed: int,
        start: int = 0,
        temperature: float = 1.0,
        y: ClassNumbers | None = None,
        out: Floats | None = None,
    ) -> Floats:
        """Draw rows start .. start + n - 1 (modulo 2^64) of the stream `seed`.

        Returns float32 (n, *latent_shape), in `out` if passed. `temperature` >= 0 scales the
        noise within a component, not the choice of the component. `y` (n,) has the class of each
        row and matters only where each class has a mixture of its own.
        """
        flat = None if out is None else out.reshape(n, self.dims)
        start &= checks.LAST
        if self._mixtures and y is not None:
            z = sampling.draw_by_class(
                self._mixtures, y, seed=seed, start=start, temperature=temperature, out=flat
            )
        else:
            z = sampling.draw(
                self.mixture, n, self.dims,
                seed=seed, start=start, temperature=temperature, out=flat,
            )  # fmt: skip
        if out is not None:
            return out
        return z if self._is_flat else z.reshape(n, *self.latent_shape)


def _split(mixture: MixtureTable, classes: int) -> list[MixtureTable]:
    """Divide the components into one mixture for each class."""
    arrays = mixture.weights, mixture.means, mixture.logvars
    blocks = zip(*(np.split(array, classes) for array in arrays), strict=True)
    return [MixtureTable(*block) for block in blocks]
