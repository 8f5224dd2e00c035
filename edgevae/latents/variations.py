"""The distributions that variations of an item are drawn from: its posterior, or a wider one."""

import numpy as np
import numpy.typing as npt

from edgevae.latents.posterior import Posterior
from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]


def widened(posterior: Posterior, prior: MixtureTable | None, strength: float) -> Posterior:
    """Return the diagonal Gaussians that variations of each item are drawn from.

    Up to strength s = 1 they are N(mu, s^2 std^2), at 1 the posterior itself. Most posteriors are
    so narrow in the dimensions that matter that such draws look alike. Above 1 the noise grows
    towards the spread of similar items, N(m, d^2): the component of the prior that is densest at
    mu, or the standard normal if `prior` is None:

        sigma = std^(1/s) d^(1 - 1/s)            at 2 the geometric mean of the two
        centre = m + a (mu - m),  a^2 = 1 - (sigma^2 - std^2) / d^2

    The factor a keeps the variance that items have in the neighbourhood, so that draws stay within
    it. As s grows, a draw becomes an independent one from the neighbourhood.
    """
    if strength <= 1:
        # Strength 0 becomes noise below float32's resolution.
        scale = 2 * np.log(np.float32(max(strength, 1e-30)))
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
    """Return mean and log-variance, (N, D), of the component that is densest at each mu (N, D)."""
    if prior is None:
        return np.zeros_like(mu), np.zeros_like(mu)
    with np.errstate(divide="ignore"):
        heights = np.log(prior.weights) - prior.logvars.sum(1) / 2
    densest = np.empty(len(mu), np.intp)
    for i, each in enumerate(mu):  # one by one, as an array (N, K, D) may be large
        squares = (each - prior.means) ** 2 * np.exp(-prior.logvars)
        densest[i] = (heights - squares.sum(1) / 2).argmax()
    return prior.means[densest], prior.logvars[densest]
