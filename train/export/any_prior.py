"""Convert fitted samplers of other libraries to the mixture of diagonal Gaussians of a bundle.

Only samplers that are exactly such a mixture are accepted: an approximation would be another prior.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgevae.errors import InputError
from edgevae.sampling import MixtureTable

Doubles = NDArray[np.float64]

# What pythae's other samplers draw from, by the names of their classes.
NO_MIXTURES = {
    "HypersphereUniformSampler": "a sphere",
    "IAFSampler": "a normalizing flow",
    "MAFSampler": "a normalizing flow",
    "PixelCNNSampler": "an autoregressive network over codes",
    "PoincareDiskSampler": "hyperbolic space",
    "RHVAESampler": "a Markov chain over a learned metric",
    "TwoStageVAESampler": "the decoder of a second VAE",
}
_MAX_CORRELATION = 1e-6  # float32 does not hold smaller ones


def mixture_of(prior: Any) -> MixtureTable | str | None:
    """Return the mixture of a prior, None for the standard normal; a path is returned as it is.

    `prior` is None, the path of an .npz, an object with weights (K,), means (K, D) and logvars
    (K, D), a scikit-learn GaussianMixture, a fitted pythae sampler, or a model. Only pythae's VAMP
    among the models has its own prior; all others have the standard normal.

    pythae's VAMPSampler does not draw from the prior that its VAMP learned: it applies tanh to the
    log-variances. From the sampler comes the mixture that it draws from, from the model the
    learned one.

    Raises `InputError` for a prior that is not a mixture of diagonal Gaussians.
    """
    if prior is None or isinstance(prior, str):
        return prior
    kind = type(prior).__name__
    if kind in NO_MIXTURES:
        raise InputError(
            f"expected a prior that is a mixture of diagonal Gaussians, got pythae's {kind}, which "
            f"draws from {NO_MIXTURES[kind]}; fit a GaussianMixture(covariance_type='diag') of "
            f"scikit-learn's to the latents"
        )
    if kind == "NormalSampler":
        return None
    if kind == "VAMPSampler":
        return pseudo_posteriors(prior.model, torch.tanh)
    if kind == "GaussianMixtureSampler":
        return gaussian_mixture(getattr(prior, "gmm", None))
    if hasattr(prior, "covariance_type"):
        return gaussian_mixture(prior)
    if isinstance(prior, torch.nn.Module):
        vamp = hasattr(prior, "pseudo_inputs") and hasattr(prior, "idle_input")
        return pseudo_posteriors(prior, lambda logvar: logvar) if vamp else None
    if all(hasattr(prior, key) for key in ("weights", "means", "logvars")):
        return MixtureTable(prior.weights, prior.means, prior.logvars)
    raise InputError(
        f"expected a prior: an .npz, weights, means and logvars, a GaussianMixture of "
        f"scikit-learn's, or a sampler of pythae's, got {kind}"
    )


@torch.no_grad()
def pseudo_posteriors(model: Any, squash: Callable[[torch.Tensor], torch.Tensor]) -> MixtureTable:
    """Return a VampPrior: the posteriors of learned pseudo-inputs, with equal weights.

    From Tomczak and Welling (2018). `squash` is applied to the log-variances.
    """
    x = model.pseudo_inputs(model.idle_input).reshape(-1, *model.model_config.input_dim)
    encoded = model.eval().encoder(x)
    logvars = squash(encoded.log_covariance)
    return MixtureTable(
        np.full(len(x), 1 / len(x)), encoded.embedding.cpu().numpy(), logvars.cpu().numpy()
    )


def gaussian_mixture(fitted: Any) -> MixtureTable:
    """Return the mixture of a scikit-learn GaussianMixture, whose covariances must be diagonal."""
    if not hasattr(fitted, "weights_"):
        raise InputError(
            "expected a fitted Gaussian mixture, got one that is not fitted: fit it first"
        )
    logvars = np.log(variances(fitted.covariances_, fitted.covariance_type, fitted.means_.shape))
    return MixtureTable(fitted.weights_, fitted.means_, logvars)


def variances(covariances: Doubles, kind: str, shape: tuple[int, int]) -> Doubles:
    """Return variances (K, D) of covariances of scikit-learn's `covariance_type` `kind`."""
    if kind == "diag":
        return covariances
    if kind == "spherical":
        return np.broadcast_to(covariances[:, None], shape)
    diagonal = np.diagonal(covariances, axis1=-2, axis2=-1)
    deviations = np.sqrt(diagonal)
    correlations = covariances / (deviations[..., :, None] * deviations[..., None, :])
    worst = float(np.abs(correlations - np.eye(shape[1])).max())
    if worst > _MAX_CORRELATION:
        raise InputError(
            f"expected Gaussians with independent dimensions, got covariance_type {kind!r} with "
            f"correlations of up to {worst:.2g}: their variances alone would be another prior; fit "
            f"GaussianMixture(covariance_type='diag'), with more components, to the same latents"
        )
    return np.broadcast_to(diagonal, shape)
