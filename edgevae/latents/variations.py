"""Where variations of an item are drawn from: its posterior, or something wider around it."""

import numpy as np
import numpy.typing as npt

from edgevae.latents.posterior import Posterior
from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]


def widened(posterior: Posterior, prior: MixtureTable | None, strength: float) -> Posterior:
    """The Gaussians that variations of each item are drawn from, one dimension beside another.

    Up to strength s = 1: N(mu, s^2 std^2), at 1 the posterior itself. Most posteriors are so
    narrow where it matters that such draws look alike. Above 1 the noise grows towards the spread
    of the item's neighbours, N(m, d^2), that component of the prior which is densest at mu (the
    standard normal where `prior` is None):

        sigma = std^(1/s) d^(1 - 1/s)            at 2 the geometric mean of the two
        centre = m + a (mu - m),  a^2 = 1 - (sigma^2 - std^2) / d^2

    so that what is drawn stays within the neighbourhood, as a keeps the variance there, and is a
    new draw of the neighbourhood as s grows without end.
    """
    if strength <= 1:
        scale = 2 * np.log(np.float32(max(strength, 1e-30)))  # at 0 nothing that float32 can add
        return Posterior(posterior.mu, posterior.logvar + scale)
    mu, logvar = (part.reshape(len(part), -1) for part in (posterior.mu, posterior.logvar))
    means, spread = neighbourhoods(mu, prior)
    spread = np.maximum(spread, logvar)
    noise = logvar / strength + spread * (1 - 1 / strength)
    kept = 1 - (np.exp(noise) - np.exp(logvar)) / np.exp(spread)
    centre = means + np.sqrt(kept.clip(0)) * (mu - means)
    shape = posterior.mu.shape
    return Posterior(
        centre.reshape(shape).astype(np.float32), noise.reshape(shape).astype(np.float32)
    )


def neighbourhoods(mu: Floats, prior: MixtureTable | None) -> tuple[Floats, Floats]:
    """Mean and log-variance, (N, D), of the prior's component that is densest at each mu (N, D)."""
    if prior is None:
        return np.zeros_like(mu), np.zeros_like(mu)
    with np.errstate(divide="ignore"):
        heights = np.log(prior.weights) - prior.logvars.sum(1) / 2
    densest = np.empty(len(mu), np.intp)
    for i, each in enumerate(mu):  # one at a time: (N, K, D) may be large
        squares = (each - prior.means) ** 2 * np.exp(-prior.logvars)
        densest[i] = (heights - squares.sum(1) / 2).argmax()
    return prior.means[densest], prior.logvars[densest]
