"""Latents on a way: the line or the arc between two, and the line along one dimension."""

import numpy as np
import numpy.typing as npt

from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]


def line(a: Floats, b: Floats, steps: int) -> Floats:
    """`steps` >= 2 latents on the line from a to b, both ends included: (steps, *a.shape)."""
    t = _times(a, steps)
    return (1 - t) * a + t * b


def arc(a: Floats, b: Floats, steps: int) -> Floats:
    """As `line`, on the great circle between the flattened latents: (steps, *a.shape).

    Slerp (Shoemake 1985): z(t) = sin((1 - t) w) / sin w * a + sin(t w) / sin w * b, w the angle
    between a and b. Latents that are parallel, opposite or zero have no one arc between them:
    then it is the line.
    """
    one, other = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    sizes = np.linalg.norm(one) * np.linalg.norm(other)
    angle = np.arccos(np.clip(one @ other / sizes, -1, 1)) if sizes else 0.0
    if np.sin(angle) < 1e-4:
        return line(a, b, steps)
    t = _times(a, steps).astype(np.float64)
    z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    z[[0, -1]] = a, b  # to the bit
    way: Floats = z.astype(np.float32)
    return way


def along(z: Floats, dim: int, positions: Floats) -> Floats:
    """Copies of z with each position in dimension `dim` of the flattened latent: (n, *z.shape)."""
    copies = np.repeat(z.reshape(1, -1), len(positions), axis=0)
    copies[:, dim] = positions
    return copies.reshape(len(positions), *z.shape)


def positions(prior: MixtureTable | None, dim: int, steps: int, span: float) -> Floats:
    """`steps` places along one dimension, within `span` standard deviations of the prior's mean.

    None is the standard normal.
    """
    mean, std = (0.0, 1.0) if prior is None else _moments(prior, dim)
    return np.linspace(mean - span * std, mean + span * std, steps, dtype=np.float32)


def _moments(prior: MixtureTable, dim: int) -> tuple[float, float]:
    """The mean and the standard deviation of one dimension of a mixture."""
    weights = prior.weights / prior.weights.sum(dtype=np.float64)
    means, variances = prior.means[:, dim], np.exp(prior.logvars[:, dim].astype(np.float64))
    mean = float(weights @ means)
    return mean, float(np.sqrt(weights @ (variances + (means - mean) ** 2)))


def _times(a: Floats, steps: int) -> Floats:
    return np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *[1] * a.ndim)
