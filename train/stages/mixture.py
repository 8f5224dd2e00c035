"""The prior that generation draws from: a mixture of diagonal Gaussians over sampled posteriors.

The elbo pulls the posteriors towards N(0, I), but their sum, the aggregate posterior, does not fill
it. A density fitted to that sum after training (ex-post density estimation: Ghosh et al. 2020,
"From variational to deterministic autoencoders") draws z from where the decoder was trained.
Sharpening draws from it, and attuning moves the posteriors, so that it is fitted before the first
and again after the second.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture
from torch import Tensor

from edgevae.sampling import MixtureTable
from train.data.dataset import Data, as_float
from train.model.models import VAE
from train.stages.loop import Run


class FitMixture:
    """Find the prior that generation draws from, by the `prior` of the run's architecture."""

    name = "mixture"

    def check(self, data: Data, variational: bool) -> None:
        """Accept every data set."""

    def run(self, run: Run) -> None:
        checkpoint = run.checkpoint
        if checkpoint.has_prior or not checkpoint.variational:
            return
        prior, components = (checkpoint.architecture[key] for key in ("prior", "components"))
        table = None
        if run.fabric.is_global_zero:
            if prior == "fitted":
                run.report(f"mixture: fitting up to {components:,} Gaussians to the posteriors")
            model = checkpoint.averaged_model().to(run.fabric.device)
            table = generation_prior(model, run.data, prior, components, checkpoint.recipe.seed)
        checkpoint.prior = run.fabric.broadcast(table)
        checkpoint.by_class = bool(checkpoint.classes) and prior == "fitted"
        checkpoint.has_prior = True
        run.save()


@torch.inference_mode()
def encode(model: VAE, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return mu and logvar (N, D) of every item, on the model's device."""
    device = model.log_sigma.device
    pairs = [model.encode(as_float(chunk.to(device))) for chunk in items.split(1000)]
    mu, logvar = (torch.cat(part) for part in zip(*pairs, strict=True))
    return mu, logvar


def sampled_posteriors(model: VAE, items: Tensor, seed: int) -> NDArray[np.float32]:
    """Draw one z of each item's posterior, (N, D): samples of the aggregate posterior."""
    torch.manual_seed(seed)
    z: NDArray[np.float32] = model.reparameterize(*encode(model, items)).cpu().numpy()
    return z


def fit_mixture(z: NDArray[np.float32], components: int = 256, seed: int = 0) -> MixtureTable:
    """Fit a mixture to samples z (N, D) of the posteriors by expectation maximisation.

    It has `components` Gaussians, or fewer, so that there are at least 20 items for each.
    """
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
    """Fit a mixture to each class; the result holds the mixtures one after the other.

    The classes share `components` equally. A mixture of all classes would not do: the decoder
    knows the class, yet z still depends on it.
    """
    parts = [items[labels == k] for k in range(model.classes)]
    each = max(1, min(components // model.classes, *(len(part) // 20 for part in parts)))
    tables = [fit_mixture(sampled_posteriors(model, part, seed), each, seed) for part in parts]
    return MixtureTable(
        np.concatenate([table.weights for table in tables]) / len(tables),
        np.concatenate([table.means for table in tables]),
        np.concatenate([table.logvars for table in tables]),
    )


@torch.inference_mode()
def generation_prior(
    model: VAE, data: Data, prior: str, components: int, seed: int
) -> MixtureTable | None:
    """Return what generation draws from, by the name of the prior (see `VAE`); None is N(0, I)."""
    if prior == "fitted" and model.classes:
        return fit_by_class(model, data.train, data.train_labels, components, seed)
    if prior == "fitted":
        return fit_mixture(sampled_posteriors(model, data.train, seed), components, seed)
    if model.prior is None:
        return None
    log_weights, means, logvars = model.prior(model.encode)
    return MixtureTable(*(part.cpu().numpy() for part in (log_weights.exp(), means, logvars)))
