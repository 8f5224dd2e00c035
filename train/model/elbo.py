"""The objective elbo = -(recon + kl), in nats per item.

recon is -log p(x|z) under the model's likelihood, kl is KL(q(z|x) || p(z)) under its prior.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from train.model.models import VAE


def recon(model: VAE, x: Tensor, x_hat: Tensor) -> Tensor:
    """Return -log p(x|z) of items x (N, *x_shape) from the decoder's x_hat: (N,) nats."""
    if model.likelihood == "bernoulli":
        return F.binary_cross_entropy(x_hat, x, reduction="none").flatten(1).sum(1)
    if model.likelihood == "categorical":
        return -(x * x_hat.clamp_min(1e-30).log()).flatten(1).sum(1)
    z_score = (x - x_hat) / (model.scale * model.log_sigma.exp())
    constant = model.log_sigma + model.scale.log() + 0.5 * math.log(2 * math.pi)
    return (0.5 * z_score.square() + constant).flatten(1).sum(1)


def loss(
    model: VAE,
    x: Tensor,
    target: Tensor,
    beta: float,
    y: Tensor | None = None,
    draws: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, recon and kl, each the batch's mean in nats per item.

    `x` is the encoder's input and `target` what the decoder should return. They differ if noise was
    added to x, by which the encoder learns to denoise. `y` holds the classes that a conditional
    decoder takes. The loss is recon + beta * kl for one draw of z, and for several `draws` the
    importance-weighted bound on -log p(x), -log mean_k exp(-recon_k - beta * kl_k), which is
    tighter the more draws it has (Burda et al. 2016, equation 8).
    """
    x_hat, kl = model(x, y, draws)
    target = target.repeat(draws, *(1,) * (target.ndim - 1))
    nats = recon(model, target, x_hat.float())
    costs = (nats + beta * kl).reshape(draws, -1)
    bound = math.log(draws) - torch.logsumexp(-costs, 0)
    return bound.mean(), nats.mean(), kl.mean()
