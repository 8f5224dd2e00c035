"""Fitted samplers of other libraries as the mixture of diagonal Gaussians that a bundle draws from.

Only what is such a mixture exactly: an approximation would be another prior under its name.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgevae.errors import InputError
from edgevae.sampling import MixtureTable

Doubles = NDArray[np.float64]

# pythae's, by class: what they draw from.
NO_MIXTURES = {
    "HypersphereUniformSampler": "a sphere",
    "IAFSampler": "a normalizing flow",
    "MAFSampler": "a normalizing flow",
    "PixelCNNSampler": "an autoregressive network over codes",
    "PoincareDiskSampler": "hyperbolic space",
    "RHVAESampler": "a Markov chain over a learned metric",
    "TwoStageVAESampler": "the decoder of a second VAE",
}
_SAME = 1e-6  # of a correlation: float32 keeps no smaller one


def mixture_of(found: Any) -> MixtureTable | str | None:
    """The mixture that a prior is; None for the standard normal; a path stays one.

    `found` is None, the path of an .npz, an object with weights (K,), means (K, D) and logvars
    (K, D), a GaussianMixture of scikit-learn's, a fitted sampler of pythae's, or a model, of which
    only pythae's VAMP has a prior of its own.

    pythae's VAMPSampler draws from less than its VAMP learns: it squashes the log-variances by
    tanh. Given the sampler, the mixture is what it draws from; given the model, what it learned.

    Raises `InputError` for what is no mixture of diagonal Gaussians.
    """
    if found is None or isinstance(found, str):
        return found
    kind = type(found).__name__
    if kind in NO_MIXTURES:
        raise InputError(
            f"expected a prior that is a mixture of diagonal Gaussians, got pythae's {kind}, which "
            f"draws from {NO_MIXTURES[kind]}; fit a GaussianMixture(covariance_type='diag') of "
            f"scikit-learn's to the latents"
        )
    if kind == "NormalSampler":
        return None
    if kind == "VAMPSampler":
        return pseudo_posteriors(found.model, torch.tanh)
    if kind == "GaussianMixtureSampler":
        return gaussian_mixture(getattr(found, "gmm", None))
    if hasattr(found, "covariance_type"):
        return gaussian_mixture(found)
    if isinstance(found, torch.nn.Module):
        vamp = hasattr(found, "pseudo_inputs") and hasattr(found, "idle_input")
        return pseudo_posteriors(found, lambda logvar: logvar) if vamp else None
    if all(hasattr(found, key) for key in ("weights", "means", "logvars")):
        return MixtureTable(found.weights, found.means, found.logvars)
    raise InputError(
        f"expected a prior: an .npz, weights, means and logvars, a GaussianMixture of "
        f"scikit-learn's, or a sampler of pythae's, got {kind}"
    )


@torch.no_grad()
def pseudo_posteriors(model: Any, squash: Callable[[torch.Tensor], torch.Tensor]) -> MixtureTable:
    """VampPrior: the posteriors of learned pseudo-inputs, alike in weight (Tomczak and Welling
    2018)."""
    x = model.pseudo_inputs(model.idle_input).reshape(-1, *model.model_config.input_dim)
    encoded = model.eval().encoder(x)
    logvars = squash(encoded.log_covariance)
    return MixtureTable(
        np.full(len(x), 1 / len(x)), encoded.embedding.cpu().numpy(), logvars.cpu().numpy()
    )


def gaussian_mixture(fitted: Any) -> MixtureTable:
    """A GaussianMixture of scikit-learn's, whose covariances must be diagonal."""
    if not hasattr(fitted, "weights_"):
        raise InputError("expected a fitted Gaussian mixture, got one that is not; fit it first")
    logvars = np.log(variances(fitted.covariances_, fitted.covariance_type, fitted.means_.shape))
    return MixtureTable(fitted.weights_, fitted.means_, logvars)


def variances(covariances: Doubles, kind: str, shape: tuple[int, int]) -> Doubles:
    """(K, D), of covariances as scikit-learn has them by `covariance_type`."""
    if kind == "diag":
        return covariances
    if kind == "spherical":
        return np.broadcast_to(covariances[:, None], shape)
    found = np.diagonal(covariances, axis1=-2, axis2=-1)
    deviations = np.sqrt(found)
    correlations = covariances / (deviations[..., :, None] * deviations[..., None, :])
    worst = float(np.abs(correlations - np.eye(shape[1])).max())
    if worst > _SAME:
        raise InputError(
            f"expected Gaussians with independent dimensions, got covariance_type {kind!r} with "
            f"correlations of up to {worst:.2g}: their variances alone would be another prior; fit "
            f"GaussianMixture(covariance_type='diag'), with more components, to the same latents"
        )
    return np.broadcast_to(found, shape)
