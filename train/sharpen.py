"""The second stage: a sharper decoder for the same latents.

A likelihood of independent pixels pays for blur. Encoder and prior stay as they are while the
decoder learns to fool a small discriminator too, on reconstructions and on prior draws (Larsen et
al. 2016, "Autoencoding beyond pixels using a learned similarity metric"): hinge loss, feature
matching between x and x_hat, and the pixels' squared error, so that x_hat stays x. The device
runs the same graph as before.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from edgevae import sampling

from . import checkpoint
from .data import Data, as_float
from .fit import LOG_EVERY, batch_rows, cosine, ema_decay, seed_step
from .models import VAE
from .prior import encode


class Discriminator(nn.Module):
    """x -> features of each layer, and a score for each patch (Isola et al. 2017).

    Spectral normalisation (Miyato et al. 2018) keeps its slope bounded.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (64, 128, 128)) -> None:
        super().__init__()
        convolutions = [
            spectral_norm(
                nn.Conv2d(wide, narrow, 4, 2, 1) if halve else nn.Conv2d(wide, narrow, 3, padding=1)
            )
            for (wide, narrow), halve in zip(
                pairwise([channels, *widths]), (True, True, False), strict=True
            )
        ]
        self.layers = nn.ModuleList(convolutions)
        self.score = spectral_norm(nn.Conv2d(widths[-1], 1, 1))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return features, self.score(x)


def feature_distance(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).mean()


def sharpen(
    engine: Fabric,
    content: dict[str, Any],
    data: Data,
    out: Path,
    *,
    epochs: int,
    batch: int = 128,
    learning_rate: float = 4e-4,
    pixel_weight: float = 40.0,
    feature_weight: float = 10.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Fine-tune the decoder of a finished first stage; return the checkpoint, written each epoch.

    `content["sharp"]` holds the stage: where it is there already, it goes on from its step.
    Images only, since a patch is a notion of images.
    """
    if data.kind != "image":
        raise ValueError(f"expected images to sharpen, got {data.kind} data: leave --sharpen out")
    model = checkpoint.build(content["architecture"])
    model.load_state_dict(content["ema"])
    prior = checkpoint.prior(content)
    batch = min(batch, len(data.train))
    epoch_steps = len(data.train) // batch
    steps = epochs * epoch_steps

    mu, logvar = (part.to(engine.device) for part in encode(model, data.train))
    train = data.train.to(engine.device)
    decoder = model.decoder.to(engine.device, memory_format=torch.channels_last)
    discriminator = Discriminator(data.x_shape[0]).to(
        engine.device, memory_format=torch.channels_last
    )
    average = AveragedModel(decoder, multi_avg_fn=get_ema_multi_avg_fn(ema_decay(steps)))
    players = (decoder, discriminator)
    optimizers = [
        torch.optim.Adam(player.parameters(), lr=learning_rate, betas=(0.5, 0.99))
        for player in players
    ]
    step = 0
    if "sharp" in content:
        step = content["sharp"]["step"]
        states = content["sharp"]["players"], content["sharp"]["optimizers"]
        for part, state in zip((*players, *optimizers), (*states[0], *states[1]), strict=True):
            part.load_state_dict(state)
        average.module.load_state_dict(content["sharp"]["ema"])
        average.n_averaged.fill_(step)
    bare = decoder, discriminator
    decoder, optimizer = engine.setup(decoder, optimizers[0])
    discriminator, critic_optimizer = engine.setup(discriminator, optimizers[1])

    bar = tqdm(total=steps * batch, initial=step * batch, unit="img", unit_scale=True, disable=None)
    while step < steps:
        seed_step(~seed & 0xFFFF, step, engine.global_rank)
        for group in (*optimizer.param_groups, *critic_optimizer.param_groups):
            group["lr"] = learning_rate * cosine(step, steps, warmup=100)
        rows = batch_rows(len(train), batch, step, seed + 1)
        x = as_float(train[rows]).contiguous(memory_format=torch.channels_last)
        z_prior = sampling.mixture(batch, prior, seed=seed, start=step * batch)
        z = torch.cat(
            [model.reparameterize(mu[rows], logvar[rows]), torch.from_numpy(z_prior).to(x.device)]
        )
        fake = torch.sigmoid(decoder(z).float())

        _, score_fake = discriminator(fake.detach())
        _, score_real = discriminator(x)
        critic_loss = F.relu(1 + score_fake).mean() + F.relu(1 - score_real).mean()
        critic_optimizer.zero_grad(set_to_none=True)
        engine.backward(critic_loss)
        critic_optimizer.step()

        discriminator.requires_grad_(False)
        features_fake, score_fake = discriminator(fake)
        with torch.no_grad():
            features_real, _ = discriminator(x)
        pixels = F.mse_loss(fake[:batch], x)
        features = feature_distance(features_real, [f[:batch] for f in features_fake])
        loss = -score_fake.mean() + feature_weight * features + pixel_weight * pixels
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        optimizer.step()
        discriminator.requires_grad_(True)
        average.update_parameters(bare[0])

        step += 1
        bar.update(batch)
        if step % LOG_EVERY == 0:
            figures = {"critic": critic_loss, "pixels": pixels, "features": features}
            figures = {name: value.item() for name, value in figures.items()}
            bar.set_postfix({name: f"{value:.4f}" for name, value in figures.items()})
            engine.log_dict({f"sharpen_{name}": v for name, v in figures.items()}, step=step)
        if step % epoch_steps == 0 and engine.is_global_zero:
            content["sharp"] = {
                "step": step,
                "players": [player.state_dict() for player in bare],
                "optimizers": [optimizer.state_dict(), critic_optimizer.state_dict()],
                "ema": average.module.state_dict(),
                "log_sigma": log_sigma(model, average.module, mu, logvar, train[:6000]),
            }
            checkpoint.save(out / "last.pt", content)
    bar.close()
    return content


@torch.inference_mode()
def log_sigma(model: VAE, decoder: nn.Module, mu: Tensor, logvar: Tensor, items: Tensor) -> float:
    """The log sigma of greatest likelihood for a decoder: that of its root mean squared error."""
    errors = []
    for rows in torch.arange(len(items)).split(1000):
        x_hat = torch.sigmoid(decoder(model.reparameterize(mu[rows], logvar[rows])))
        errors.append((x_hat - as_float(items[rows])).square().mean())
    return 0.5 * torch.stack(errors).mean().log().item()
