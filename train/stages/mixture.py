"""The prior that generation draws from: a mixture of diagonal Gaussians over sampled posteriors.

The elbo pulls the posteriors towards N(0, I) but never gets their sum, the aggregate posterior,
to fill it. A density fitted to that sum after training (ex-post density estimation: Ghosh et al.
2020, "From variational to deterministic autoencoders") draws z where the decoder has been.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from torch import Tensor

from edgevae.sampling import MixtureTable
from train.data.dataset import Data, as_float
from train.model.models import VAE


@torch.inference_mode()
def encode(model: VAE, items: Tensor) -> tuple[Tensor, Tensor]:
    """mu, logvar (N, D) of every item, computed and left where the model is."""
    device = model.log_sigma.device
    pairs = [model.encode(as_float(chunk.to(device))) for chunk in items.split(1000)]
    mu, logvar = (torch.cat(part) for part in zip(*pairs, strict=True))
    return mu, logvar


def sampled_posteriors(model: VAE, items: Tensor, seed: int) -> NDArray[np.float32]:
    """One z of each item's posterior: (N, D), draws of the aggregate posterior."""
    torch.manual_seed(seed)
    z: NDArray[np.float32] = model.reparameterize(*encode(model, items)).cpu().numpy()
    return z


def fit_mixture(model: VAE, items: Tensor, components: int = 256, seed: int = 0) -> MixtureTable:
    """The mixture of the training items' posteriors, by expectation maximisation.

    It has `components` Gaussians, or fewer: at least 20 items to each.
    """
    z = sampled_posteriors(model, items, seed)
    components = max(1, min(components, len(z) // 20))
    mixture = GaussianMixture(
        components, covariance_type="diag", reg_covar=1e-4, max_iter=100, random_state=seed
    ).fit(z.astype(np.float64))
    return MixtureTable(
        mixture.weights_.astype(np.float32),
        mixture.means_.astype(np.float32),
        np.log(mixture.covariances_).astype(np.float32),
    )


def fit_by_class(
    model: VAE, items: Tensor, labels: Tensor, components: int, seed: int
) -> MixtureTable:
    """A mixture for each class, of as many of the `components`, one class after the other.

    The decoder is told the class, and still z says something of it: what z of a boot are like no
    mixture of all tells.
    """
    parts = [items[labels == k] for k in range(model.classes)]
    each = max(1, min(components // model.classes, *(len(part) // 20 for part in parts)))
    tables = [fit_mixture(model, part, each, seed) for part in parts]
    return MixtureTable(
        np.concatenate([table.weights for table in tables]) / len(tables),
        np.concatenate([table.means for table in tables]),
        np.concatenate([table.logvars for table in tables]),
    )


@torch.inference_mode()
def drawn_from(
    model: VAE, data: Data, prior: str, components: int, seed: int
) -> MixtureTable | None:
    """What generation draws from, by the name of the prior (`models.VAE`); None is N(0, I)."""
    if prior == "fitted" and model.classes:
        return fit_by_class(model, data.train, data.train_labels, components, seed)
    if prior == "fitted":
        return fit_mixture(model, data.train, components, seed)
    if model.prior is None:
        return None
    log_weights, means, logvars = model.prior(model.encode)
    return MixtureTable(*(part.cpu().numpy() for part in (log_weights.exp(), means, logvars)))
