"""The second stage: a sharper decoder for the same latents.

A likelihood of independent pixels pays for blur. Encoder and prior stay as they are while the
decoder learns to fool a small discriminator too, on reconstructions and on prior draws (Larsen et
al. 2016, "Autoencoding beyond pixels using a learned similarity metric"): hinge loss, feature
matching between x and x_hat, and the pixels' squared error, so that x_hat stays x. The device
runs the same graph as before.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgevae import sampling
from edgevae.errors import InputError
from train.data.dataset import Data, as_float
from train.model import checkpoint
from train.model.models import VAE
from train.stages.fit import (
    LOG_EVERY,
    averaging,
    batch_rows,
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


class Discriminator(nn.Module):
    """x -> the features of each layer, and a score for each patch (Isola et al. 2017).

    Spectral normalisation (Miyato et al. 2018) keeps its slope bounded.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (64, 96, 96)) -> None:
        super().__init__()
        first, second, third = widths
        layers = (
            nn.Conv2d(channels, first, 4, 2, 1),
            nn.Conv2d(first, second, 4, 2, 1),
            nn.Conv2d(second, third, 3, padding=1),
        )
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in layers)
        self.score = spectral_norm(nn.Conv2d(third, 1, 1))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return features, self.score(x)


def discriminator_loss(discriminator: nn.Module, x: Tensor, x_hat: Tensor) -> Tensor:
    """Hinge: real scores above 1, made ones below -1."""
    _, scores = discriminator(torch.cat([x, x_hat.detach()]))
    real, made = scores.split([len(x), len(x_hat)])
    return F.relu(1 - real).mean() + F.relu(1 + made).mean()


def decoder_loss(
    discriminator: nn.Module, x: Tensor, x_hat: Tensor, feature_weight: float, pixel_weight: float
) -> tuple[Tensor, Tensor]:
    """(loss, pixels): `x_hat` holds the reconstructions of x, then draws from the prior.

    All are to score well; the reconstructions are to be near to x too, in the discriminator's
    features and in pixels.
    """
    features, scores = discriminator(torch.cat([x_hat, x]))
    made = [f[: len(x)] for f in features]
    real = [f[len(x_hat) :].detach() for f in features]
    distance = torch.stack([F.l1_loss(a, b) for a, b in zip(made, real, strict=True)]).mean()
    pixels = F.mse_loss(x_hat[: len(x)], x)
    score = scores[: len(x_hat)].mean()
    return -score + feature_weight * distance + pixel_weight * pixels, pixels


def check_sharpens(kind: str, variational: bool) -> None:
    """Raise InputError for what has no second stage, before the first one is spent on it."""
    if kind not in ("image", "text"):
        raise InputError(
            f"expected images or text to sharpen, got {kind} data, which have no discriminator "
            "and no language model: leave --sharpen out"
        )
    if not variational:
        raise InputError(
            "expected a VAE to sharpen, got an autoencoder, which has no prior to draw from: "
            "leave --sharpen or --autoencoder out"
        )


def sharpen(
    engine: Fabric,
    content: dict[str, Any],
    data: Data,
    out: Path,
    *,
    epochs: int,
    batch: int = 128,
    learning_rate: float = 4e-4,
    feature_weight: float = 10.0,
    pixel_weight: float = 60.0,
    seed: int = 0,
    compile_model: bool = False,
) -> dict[str, Any]:
    """Fine-tune the decoder of a finished first stage; return the checkpoint, written each epoch.

    `content["sharp"]` holds the stage: where it is there already, it goes on from its step.
    Images (N, C, H, W) only.
    """
    check_sharpens(data.kind, content["architecture"]["variational"])
    batch = min(batch, len(data.train))
    epoch_steps = len(data.train) // batch
    steps = epochs * epoch_steps
    mine = own_share(engine, batch)

    model = checkpoint.build(content["architecture"])
    model.load_state_dict(content["ema"])
    model.to(engine.device)
    prior = checkpoint.prior(content)
    mu, logvar = encode(model, data.train)
    train = data.train.to(engine.device)

    torch.manual_seed(seed)  # so that the discriminator's start is the same after a resumed stage
    decoder, discriminator = (
        player.to(engine.device, memory_format=torch.channels_last)
        for player in (model.decoder, Discriminator(data.x_shape[0]))
    )
    average = averaging(decoder, steps)
    optimizers = [
        torch.optim.Adam(player.parameters(), lr=learning_rate, betas=(0.5, 0.99))
        for player in (decoder, discriminator)
    ]
    parts = {
        "decoder": decoder,
        "discriminator": discriminator,
        "decoder_optimizer": optimizers[0],
        "discriminator_optimizer": optimizers[1],
        "ema": average.module,
    }
    step = 0
    if "sharp" in content:
        step = content["sharp"]["step"]
        for name, part in parts.items():
            part.load_state_dict(content["sharp"][name])
        average.n_averaged.fill_(step)
    decode, decoder_optimizer = engine.setup(
        torch.compile(decoder) if compile_model else decoder, optimizers[0]
    )
    judge, discriminator_optimizer = engine.setup(discriminator, optimizers[1])

    if step < steps:
        content.pop("attuned", None)  # an encoder that learned of another decoder
    bar = progress(engine, "sharpen", steps * batch, step * batch)
    while step < steps:
        seed_step(seed + 1, step, engine.global_rank)
        rate = learning_rate * cosine(step, steps, warmup=100)
        set_rate(decoder_optimizer, rate)
        set_rate(discriminator_optimizer, rate)
        rows = batch_rows(len(train), batch, step, seed + 1)[mine]
        x = as_float(train[rows]).contiguous(memory_format=torch.channels_last)
        first = step * batch + mine.start
        draws = sampling.draw(prior, len(rows), model.latent_dim, seed=seed, start=first)
        z = torch.cat(
            [model.reparameterize(mu[rows], logvar[rows]), torch.from_numpy(draws).to(x.device)]
        )
        x_hat = torch.sigmoid(decode(z).float())

        loss = discriminator_loss(judge, x, x_hat)
        discriminator_optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        discriminator_optimizer.step()

        discriminator.requires_grad_(False)
        with engine.no_backward_sync(judge):  # it learns nothing here
            made_loss, pixels = decoder_loss(judge, x, x_hat, feature_weight, pixel_weight)
        decoder_optimizer.zero_grad(set_to_none=True)
        engine.backward(made_loss)
        decoder_optimizer.step()
        discriminator.requires_grad_(True)
        average.update_parameters(decoder)

        step += 1
        bar.update(batch)
        if step % LOG_EVERY == 0 or step == steps:
            show(engine, bar, "sharpen", {"discriminator": loss, "pixels": pixels}, step)
        if step % epoch_steps == 0 and engine.is_global_zero:
            content["sharp"] = {name: part.state_dict() for name, part in parts.items()} | {
                "step": step,
                "log_sigma": log_sigma(model, average.module, mu, logvar, train[:6000]),
            }
            keep(engine, out, content)
    end(engine, bar)
    return content


@torch.inference_mode()
def log_sigma(model: VAE, decoder: nn.Module, mu: Tensor, logvar: Tensor, items: Tensor) -> float:
    """The log sigma of greatest likelihood for a decoder: that of its root mean squared error."""
    errors = []
    for rows in torch.arange(len(items)).split(1000):
        x_hat = torch.sigmoid(decoder(model.reparameterize(mu[rows], logvar[rows])))
        errors.append((x_hat - as_float(items[rows])).square().mean())
    return 0.5 * torch.stack(errors).mean().log().item()
