"""The objective: elbo = -(recon + kl), in nats per item.

recon = -log p(x|z) under the model's likelihood; kl = KL(q(z|x) || p(z)) under its prior.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from train.model.models import VAE


def recon(model: VAE, x: Tensor, x_hat: Tensor) -> Tensor:
    """-log p(x|z) for items x (N, *x_shape) and the decoder's x_hat: (N,) nats."""
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
    """(recon + beta * kl, recon, kl), each the batch's mean in nats per item.

    `x` is what the encoder sees and `target` what the decoder owes: they differ where noise was
    added to x, which is how one encoder learns to denoise. `y` has the classes that a conditional
    decoder is told. Of more `draws` of z the first is the importance-weighted bound on -log p(x),
    -log mean_k exp(-recon_k - beta * kl_k), which is the tighter the more they are (Burda et al.
    2016, equation 8).
    """
    x_hat, kl = model(x, y, draws)
    target = target.repeat(draws, *(1,) * (target.ndim - 1))
    nats = recon(model, target, x_hat.float())
    paid = (nats + beta * kl).reshape(draws, -1)
    bound = math.log(draws) - torch.logsumexp(-paid, 0)
    return bound.mean(), nats.mean(), kl.mean()
