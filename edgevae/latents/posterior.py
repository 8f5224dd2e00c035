"""The posterior q(z|x) that an encoder returns."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae import checks, sampling
from edgevae._core import divergence

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class Posterior:
    """q(z|x) of N items: diagonal Gaussians of mean `mu` and log-variance `logvar`.

    Both are float32 (N, *latent_shape).
    """

    mu: Floats
    logvar: Floats

    def __repr__(self) -> str:
        return f"Posterior(n={len(self.mu)}, latent_shape={self.mu.shape[1:]})"

    def sample(self, draws: int = 1, *, seed: int | None = None, start: int = 0) -> Floats:
        """Draw z = mu + exp(logvar/2) * eps: (N, *latent_shape), or (draws, N, ...) if draws > 1.

        Item i takes the noise of row start + i of the stream `seed`; None takes a fresh one.
        """
        flat = len(self.mu), math.prod(self.mu.shape[1:])
        z = sampling.reparameterize(
            np.ascontiguousarray(self.mu.reshape(flat)),
            np.ascontiguousarray(self.logvar.reshape(flat)),
            seed=checks.seed(seed),
            start=checks.start(start),
            draws=checks.integer(draws, "draws", least=1, most=checks.LAST_DRAW),
        )
        return z.reshape(*z.shape[:-1], *self.mu.shape[1:])

    def kl(self) -> npt.NDArray[np.float64]:
        """Return KL(q(z|x) || N(0, I)) of each item: float64 (N,), in nats, at least 0.

        sum (exp(logvar) + mu^2 - 1 - logvar) / 2 (Kingma and Welling 2014, appendix B).
        """
        return divergence(np.ascontiguousarray(self.mu), np.ascontiguousarray(self.logvar))

    def kl_by_dimension(self) -> npt.NDArray[np.float64]:
        """Return the part of `kl` in each latent dimension: float64 (N, *latent_shape), in nats."""
        nats: npt.NDArray[np.float64] = np.expm1(self.logvar, dtype=np.float64)
        nats -= self.logvar
        nats += self.mu * self.mu
        return nats / 2
