"""The last stage: an encoder for the decoder and the prior that a device will hold.

The first stage trains the encoder beside a decoder that sharpening then changes, and under N(0, I)
where a mixture is fitted afterwards. Here both are as they will ship, and stay; the encoder alone
goes on maximising the elbo, of noisy items as much as of clean ones, so that it reconstructs and
denoises better while what `generate` draws is the same.
"""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from edgevae.errors import InputError
from train.data.dataset import Data, as_float
from train.model import checkpoint, elbo
from train.model.models import VAE
from train.model.prior import Free
from train.stages.finetune_decoder import log_sigma
from train.stages.fit import (
    LOG_EVERY,
    adamw,
    averaging,
    batch_rows,
    corrupt,
    cosine,
    end,
    keep,
    own_share,
    progress,
    seed_step,
    set_rate,
    show,
)
from train.stages.mixture import encode


def check_attunes(kind: str, variational: bool) -> None:
    """Raise InputError for what has no such stage, before the first one is spent on it."""
    if kind != "image" or not variational:
        got = "an autoencoder" if kind == "image" else f"{kind} data"
        raise InputError(f"expected a VAE of images to attune, got {got}: leave --attune out")


def recon(model: VAE, x: Tensor, x_hat: Tensor) -> Tensor:
    """-log p(x|z) for items x (N, *x_shape) and the decoder's x_hat: (N,) nats, but for a constant.

    A Gaussian's sigma is each item's own, that of its greatest likelihood, so that an item in
    noise, whose error is large, weighs no more than a clean one.
    """
    if model.likelihood == "bernoulli":
        return elbo.recon(model, x, x_hat)
    errors = (x - x_hat).flatten(1)
    return 0.5 * errors.shape[1] * errors.square().mean(1).log()


def as_shipped(content: dict[str, Any]) -> VAE:
    """The averaged model of a checkpoint under the prior it will ship with; its encoder learns."""
    model, table = checkpoint.averaged(content), checkpoint.prior(content)
    if table is not None:
        model.prior = Free(len(table.weights), model.latent_dim)
        model.prior.become(table)
    model.requires_grad_(False)
    model.encoder.requires_grad_(True)
    return model


def attune(
    engine: Fabric,
    content: dict[str, Any],
    data: Data,
    out: Path,
    *,
    epochs: int,
    batch: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
    compile_model: bool = False,
) -> dict[str, Any]:
    """Fine-tune the encoder of a finished run; return the checkpoint, written each epoch.

    `content["attuned"]` holds the stage: where it is there already, it goes on from its step.
    """
    check_attunes(data.kind, content["architecture"]["variational"])
    batch = min(batch, len(data.train))
    epoch_steps = len(data.train) // batch
    steps = epochs * epoch_steps
    mine = own_share(engine, batch)
    beta, noise = content["recipe"]["beta"], content["recipe"]["noise"]

    train = data.train.to(engine.device)
    model = as_shipped(content)
    model.to(engine.device, memory_format=torch.channels_last)
    optimizer = adamw(model, learning_rate)
    average = averaging(model, steps)
    step = 0
    if "attuned" in content:
        step = content["attuned"]["step"]
        model.encoder.load_state_dict(content["attuned"]["encoder"])
        average.n_averaged.fill_(step)
        optimizer.load_state_dict(content["attuned"]["optimizer"])
    see, optimizer = engine.setup(torch.compile(model) if compile_model else model, optimizer)

    bar = progress(engine, "attune", steps * batch, step * batch)
    while step < steps:
        seed_step(seed + 2, step, engine.global_rank)
        set_rate(optimizer, learning_rate * cosine(step, steps, warmup=100))
        x = as_float(train[batch_rows(len(train), batch, step, seed + 2)[mine]])
        x_hat, kl = see(corrupt(x, noise, share=1.0))
        error, kl = recon(model, x, x_hat.float()).mean(), kl.mean()
        optimizer.zero_grad(set_to_none=True)
        engine.backward(error + beta * kl)
        optimizer.step()
        average.update_parameters(model)
        step += 1
        bar.update(batch)
        if step % LOG_EVERY == 0 or step == steps:
            show(engine, bar, "attune", {"recon": error, "kl": kl}, step)
        if step % epoch_steps == 0 and engine.is_global_zero:
            items, mean = train[:6000], average.module
            content["attuned"] = {
                "encoder": model.encoder.state_dict(),
                "optimizer": optimizer.state_dict(),
                "ema": mean.encoder.state_dict(),
                "step": step,
                "log_sigma": log_sigma(mean, mean.decoder, *encode(mean, items), items),
            }
            keep(engine, out, content)
    end(engine, bar)
    return content
