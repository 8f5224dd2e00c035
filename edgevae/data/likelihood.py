"""The likelihood of a bundle: -log p(x|z), which scores and reports of fit add up."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae._core import squares
from edgevae.json_fields import Fields, is_number

Floats = npt.NDArray[np.floating[Any]]
Nats = npt.NDArray[np.float64]
Likelihood = Mapping[str, str | float | list[float]]

LIKELIHOODS = ("gaussian", "bernoulli", "categorical")

# Probabilities are at least this far from 0, and those of a Bernoulli from 1 too, so that no value
# costs more than 16.1 nats.
_SMALLEST_PROBABILITY = 1e-7

# The numbers in a block of `Deviance`: 128 KB of float32.
_BLOCK = 1 << 15
_MANY_ROWS = 32
# Of one item with a sigma for each feature or value.
_MOST_SIGMAS = 1 << 22


def nats(x: Floats, x_hat: Floats, likelihood: Likelihood) -> Nats:
    """Return -log p(x|z) of each value in nats, float64 of x's shape; x_hat is the decoded z.

    x and x_hat are (N, *x_shape). Gaussian: ((x - x_hat) / sigma)^2 / 2 + log sigma +
    log(2 pi) / 2, which is a density, hence may be negative. Bernoulli: -x log x_hat -
    (1 - x) log(1 - x_hat), the cross-entropy for grey values between 0 and 1. Categorical:
    -x log x_hat, x being one-hot over the last axis.
    """
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    if likelihood["name"] == "bernoulli":
        x_hat = x_hat.clip(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        return -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat))
    if likelihood["name"] == "categorical":
        return np.asarray(-x * np.log(x_hat.clip(_SMALLEST_PROBABILITY, 1)), np.float64)
    sigma = np.asarray(likelihood["sigma"], np.float64)  # one, or one for each value of x
    if sigma.ndim:
        sigma = sigma.reshape(x.shape[1:])
    return ((x - x_hat) / sigma) ** 2 / 2 + np.log(sigma) + math.log(2 * math.pi) / 2


class Deviance:
    """`nats` minus its minimum for that x, which x_hat = x reaches: at least 0.

    This is half of the deviance of generalised linear models. Gaussian:
    ((x - x_hat) / sigma)^2 / 2. Bernoulli: the Kullback-Leibler divergence of the two Bernoullis.
    Categorical: `nats` itself for a one-hot x. All is computed in float32, in blocks of rows that
    stay in the cache.
    """

    def __init__(self, likelihood: Likelihood, x_shape: tuple[int, ...]) -> None:
        self._rows = max(1, _BLOCK // math.prod(x_shape))
        self._name, self._least = likelihood["name"], 0.0
        if self._name == "gaussian":
            sigma = np.asarray(likelihood["sigma"], np.float64)
            sigma = sigma.reshape(x_shape) if sigma.ndim else sigma
            self._scale = np.asarray(math.sqrt(0.5) / sigma, np.float32)
            logs = np.log(sigma).mean() + math.log(2 * math.pi) / 2
            self._least = float(logs) * math.prod(x_shape)

    def fill(self, x: Floats, x_hat: Floats, out: npt.NDArray[np.float32]) -> tuple[Nats, Nats]:
        """Fill `out` with the deviance of each value, float32 of x's shape (N, *x_shape).

        Returns the deviance and `recon` of each item, both float64 (N,).
        """
        if self._name == "gaussian":
            contiguous = np.ascontiguousarray(x), np.ascontiguousarray(x_hat)
            deviance = squares(*contiguous, self._scale, out)
            return deviance, deviance + self._least
        n = len(x)
        if n <= self._rows:
            return self._fill(x, x_hat, out)
        deviance, recon = np.empty(n), np.empty(n)
        for first in range(0, n, self._rows):
            rows = slice(first, first + self._rows)
            deviance[rows], recon[rows] = self._fill(x[rows], x_hat[rows], out[rows])
        return deviance, recon

    def _fill(self, x: Floats, x_hat: Floats, out: npt.NDArray[np.float32]) -> tuple[Nats, Nats]:
        self._cross_entropy(x, x_hat, out)
        recon = per_item(out)
        if not (x * (1 - x)).any():  # the minimum is 0, as bits and characters are certain
            return recon, recon
        least = np.empty_like(out)
        self._cross_entropy(x, x, least)
        np.maximum(out - least, 0, out=out)
        return per_item(out), recon

    def _cross_entropy(self, x: Floats, p: Floats, out: npt.NDArray[np.float32]) -> None:
        """Fill `out` with the `nats` of a Bernoulli or a categorical distribution."""
        np.multiply(x, np.log(np.clip(p, _SMALLEST_PROBABILITY, 1)), out)
        if self._name == "bernoulli":
            out += (1 - x) * np.log(np.clip(1 - p, _SMALLEST_PROBABILITY, 1))
        np.negative(out, out)


def recon(x: Floats, x_hat: Floats, likelihood: Likelihood) -> Nats:
    """Return -log p(x|z) of each item, the sum of its `nats`: float64 (N,)."""
    return per_item(nats(x, x_hat, likelihood))


def per_item(values: Floats) -> Nats:
    """Return the sum of values (N, *x_shape) over each item: float64 (N,)."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    # einsum is up to four times as fast on many short rows, and slower on a few.
    sums = np.einsum("ij->i", flat) if len(flat) >= _MANY_ROWS else np.add.reduce(flat, 1)
    nats: Nats = sums.astype(np.float64)
    return nats


def likelihood_from_json(fields: Fields, x_shape: tuple[int, ...]) -> Likelihood:
    """Return the likelihood of x that a manifest describes. Raises `BundleError`.

    The sigma of a Gaussian is one number, or one for each feature or value of x.
    """
    name = fields.text("name", LIKELIHOODS)
    if name != "gaussian":
        return {"name": name}
    sigma = fields.take("sigma")
    numbers = sigma if isinstance(sigma, list) else [sigma]
    values = [number for number in numbers if is_number(number) and number > 0]
    if len(values) != len(numbers):
        raise fields.bad("sigma", "positive and finite")
    if not isinstance(sigma, list):
        return {"name": name, "sigma": values[0]}
    size = math.prod(x_shape)
    if len(values) not in (size, x_shape[0]):
        raise fields.bad("sigma", f"one number, or {size}, one for each value of x")
    if size > _MOST_SIGMAS:  # `per_value` makes a list of them
        raise fields.bad("sigma", f"one number, as x has more than {_MOST_SIGMAS} values")
    return {"name": name, "sigma": values}


def per_value(likelihood: Likelihood, x_shape: tuple[int, ...]) -> Likelihood:
    """Return the likelihood with a sigma for each value of x, if it has one for each feature."""
    sigma = likelihood.get("sigma")
    if not isinstance(sigma, list):
        return likelihood
    repeats = math.prod(x_shape) // len(sigma)
    return {**likelihood, "sigma": np.repeat(np.asarray(sigma, np.float64), repeats).tolist()}
