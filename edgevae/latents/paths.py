"""Paths of latents: the line or the arc between two, and the line along one dimension."""

import math

import numpy as np
import numpy.typing as npt

from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


def line(a: Floats, b: Floats, steps: int) -> Floats:
    """Return `steps` >= 2 latents on the line from a to b, ends included: (steps, *a.shape)."""
    t = _times(a, steps)
    return (1 - t) * a + t * b


def arc(a: Floats, b: Floats, steps: int) -> Floats:
    """Return latents as `line`, but on the great circle between the flattened ends.

    Slerp (Shoemake 1985): z(t) = sin((1 - t) w) / sin w * a + sin(t w) / sin w * b, where w is the
    angle between a and b. Parallel, opposite or zero latents have no unique arc between them and
    give the line.
    """
    flat_a, flat_b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    norms = np.linalg.norm(flat_a) * np.linalg.norm(flat_b)
    angle = np.arccos(np.clip(flat_a @ flat_b / norms, -1, 1)) if norms else 0.0
    if np.sin(angle) < 1e-4:
        return line(a, b, steps)
    t = _times(a, steps).astype(np.float64)
    z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    z[[0, -1]] = a, b  # exactly
    path: Floats = z.astype(np.float32)
    return path


def along(z: Floats, dim: int, positions: Floats) -> Floats:
    """Return copies of z with each position in dimension `dim`, flattened: (n, *z.shape)."""
    copies = np.repeat(z.reshape(1, -1), len(positions), axis=0)
    copies[:, dim] = positions
    return copies.reshape(len(positions), *z.shape)


def positions(prior: MixtureTable | None, z: Floats, dim: int, steps: int, span: float) -> Floats:
    """Return `steps` positions along dimension `dim` that the prior covers around z: (steps,).

    They go from `span` standard deviations below the prior's median to as many above. If the
    prior is a mixture, its distribution of z[dim], given the other dimensions of z, takes the
    place of the normal: a position s standard deviations from the median is the quantile Phi(s).
    Other positions of the mixture belong to latents that differ from z in other dimensions too.
    `prior` None is the standard normal.
    """
    scores = np.linspace(-span, span, steps)
    if prior is None:
        return scores.astype(np.float32)
    weights = _weights_given_others(prior, z.reshape(-1), dim)
    likely = weights > 1e-9
    means = prior.means[likely, dim].astype(np.float64)
    stds = np.exp(prior.logvars[likely, dim].astype(np.float64) / 2)
    quantiles = [_quantile(weights[likely], means, stds, score) for score in scores]
    return np.array(quantiles, np.float32)


def _weights_given_others(prior: MixtureTable, z: Floats, dim: int) -> Values:
    """Return the probability of each component (K,), given all dimensions of z except `dim`."""
    logvars = prior.logvars.astype(np.float64)
    terms = -((z.astype(np.float64) - prior.means) ** 2 / np.exp(logvars) + logvars) / 2
    with np.errstate(divide="ignore"):  # a component may have no weight
        logs = np.log(prior.weights.astype(np.float64)) + np.delete(terms, dim, axis=1).sum(1)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum(), np.float64)


def _quantile(weights: Values, means: Values, stds: Values, score: float) -> float:
    """Return the quantile Phi(score) of a mixture of normals, by bisection."""
    # Every component has at most, and at least, the mass Phi(score) below `low`, and below `high`.
    low, high = float((means + score * stds).min()), float((means + score * stds).max())
    sign = -1 if score > 0 else 1  # the smaller of the two tails, which float64 resolves
    tail = math.erfc(sign * -score / math.sqrt(2))
    for _ in range(60):
        middle = (low + high) / 2
        scaled = sign * (means - middle) / (stds * math.sqrt(2))
        mass = sum(w * math.erfc(x) for w, x in zip(weights, scaled, strict=True))
        if (mass < tail) == (sign > 0):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _times(a: Floats, steps: int) -> Floats:
    return np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *[1] * a.ndim)
