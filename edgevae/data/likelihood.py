"""The likelihood of a bundle: -log p(x|z), which scores and reports of fit add up."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.json_fields import Fields, is_number

Floats = npt.NDArray[np.floating[Any]]
Nats = npt.NDArray[np.float64]
Likelihood = Mapping[str, str | float | list[float]]

LIKELIHOODS = ("gaussian", "bernoulli", "categorical")

# Probabilities are at least this far from 0, and those of a Bernoulli from 1 too, so that no value
# costs more than 16.1 nats.
_SMALLEST_PROBABILITY = 1e-7


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


def deviance(x: Floats, x_hat: Floats, likelihood: Likelihood) -> Nats:
    """Return `nats` minus its minimum for that x, which x_hat = x reaches: at least 0.

    The result is float64 of x's shape, half of the deviance of generalised linear models. Gaussian:
    ((x - x_hat) / sigma)^2 / 2. Bernoulli: the Kullback-Leibler divergence of the two Bernoullis.
    Categorical: `nats` itself, since a one-hot x may be certain.
    """
    return np.maximum(nats(x, x_hat, likelihood) - nats(x, x, likelihood), 0.0)


def recon(x: Floats, x_hat: Floats, likelihood: Likelihood) -> Nats:
    """Return -log p(x|z) of each item, the sum of its `nats`: float64 (N,)."""
    return per_item(nats(x, x_hat, likelihood))


def per_item(values: Nats) -> Nats:
    """Return the sum of values (N, *x_shape) over each item: (N,)."""
    return np.asarray(values.sum(axis=tuple(range(1, values.ndim))), np.float64)


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
    return {"name": name, "sigma": values}


def per_value(likelihood: Likelihood, x_shape: tuple[int, ...]) -> Likelihood:
    """Return the likelihood with a sigma for each value of x, if it has one for each feature."""
    sigma = likelihood.get("sigma")
    if not isinstance(sigma, list):
        return likelihood
    repeats = math.prod(x_shape) // len(sigma)
    return {**likelihood, "sigma": np.repeat(np.asarray(sigma, np.float64), repeats).tolist()}
