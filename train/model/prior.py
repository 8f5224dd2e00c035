"""The prior p(z) of the KL: N(0, I), or a mixture that is learned with the model.

The KL from a learned mixture is smaller than that from N(0, I), as the mixture can move to where
the posteriors are (Tomczak and Welling 2018, "VAE with a VampPrior"). The learned mixture is
exported as the bundle's prior.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.sampling import MixtureTable

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Gaussians = tuple[Tensor, Tensor, Tensor]  # log weights (K,), means (K, D), logvars (K, D)


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, exp(logvar)) || N(0, I)) of mu, logvar (N, D): (N,) nats, at least 0.

    The closed form is that of (Kingma and Welling 2014, appendix B).
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).flatten(1).sum(1)


class Free(nn.Module):
    """A mixture of K Gaussians, each with its own weight, mean and log-variance."""

    def __init__(self, components: int, latent_dim: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, latent_dim))
        self.logvars = nn.Parameter(torch.zeros(components, latent_dim))

    def start(self, x: Tensor) -> None:
        """Ignore the data: the means start at random."""

    def copy_from(self, table: MixtureTable) -> None:
        """Copy the mixture `table`, which has as many components."""
        parts = np.log(table.weights), table.means, table.logvars
        for own, part in zip((self.logits, self.means, self.logvars), parts, strict=True):
            own.data.copy_(torch.tensor(part))

    def forward(self, encode: Encode) -> Gaussians:
        return self.logits.log_softmax(0), self.means, self.logvars


class Vamp(nn.Module):
    """A mixture of the posteriors of K learned pseudo-inputs (Tomczak and Welling 2018)."""

    def __init__(self, components: int, x_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.zeros(components, *x_shape))

    def start(self, x: Tensor) -> None:
        """Start from K random items of x (N, *x_shape), N at least K."""
        self.inputs.data.copy_(x[torch.randperm(len(x))[: len(self.inputs)]])

    def forward(self, encode: Encode) -> Gaussians:
        means, logvars = encode(self.inputs.clamp(0, 1))
        return torch.full_like(means[:, 0], -math.log(len(means))), means, logvars


def gaussian_log_prob(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Return log N(z; mu, exp(logvar)) of latents (N, D), a Gaussian for each: (N,) nats."""
    squares = (z - mu).float().square() / logvar.float().exp() + logvar.float()
    return -0.5 * (squares.sum(1) + z.shape[1] * math.log(2 * math.pi))


def log_prob(z: Tensor, gaussians: Gaussians) -> Tensor:
    """Return log p(z) of latents (N, D) under a mixture: (N,) nats."""
    with torch.autocast(z.device.type, enabled=False):  # bf16 is too coarse for these sums
        z = z.float()
        log_weights, means, logvars = (part.float() for part in gaussians)
        precision = (-logvars).exp()
        # Matrix products sum (z - mean)^2 / var over D without an array (N, K, D).
        squares = z.square() @ precision.T - 2 * z @ (means * precision).T
        constant = (means.square() * precision + logvars).sum(1) + z.shape[1] * math.log(
            2 * math.pi
        )
        return torch.logsumexp(log_weights - 0.5 * (squares + constant), dim=1)
