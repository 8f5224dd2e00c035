"""The second stage for images: a sharper decoder for the same latents (`--sharpen`).

A likelihood of independent pixels is best served by blur. Encoder and prior stay as they are while
the decoder also learns to deceive a small discriminator, on reconstructions and on prior draws
(Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric"): hinge loss,
feature matching between x and x_hat, and the squared error of the pixels, which keeps x_hat near x.
The exported graph has the same layers as before.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgevae import sampling
from edgevae.data import KINDS
from edgevae.errors import InputError
from train.data.dataset import Data, as_float
from train.model.models import VAE
from train.stages.loop import Figures, Run, Trainer, averaging, train
from train.stages.mixture import FitMixture, encode
from train.stages.schedule import Schedule

LEARNING_RATE = 4e-4
FEATURE_WEIGHT, PIXEL_WEIGHT = 10.0, 60.0  # of the decoder's loss
SIGMA_ITEMS = 6000  # training items whose error gives sigma


class FinetuneDecoder:
    """Fine-tune the decoder of images (N, C, H, W) against a discriminator."""

    name = "sharpen"

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def check(self, data: Data, variational: bool) -> None:
        check_sharpen(data.kind, variational)

    def run(self, run: Run) -> None:
        state = run.checkpoint.finetune_decoder
        schedule = run.schedule(self.name, self.epochs, LEARNING_RATE, seed_offset=1, state=state)
        if schedule.first < schedule.last:
            if run.checkpoint.finetune_encoder is not None:  # it was trained with another decoder
                run.checkpoint.finetune_encoder, run.checkpoint.has_prior = None, False
                FitMixture().run(run)
            train(run, schedule, AdversarialTrainer(run, schedule))


def check_sharpen(kind: str, variational: bool) -> None:
    """Raise `InputError` for models that --sharpen does not apply to."""
    if KINDS[kind].tabular:
        raise InputError(
            f"expected images or text to sharpen, got {kind} data, which have no discriminator "
            "and no language model: leave --sharpen out"
        )
    if not variational:
        raise InputError(
            "expected a VAE to sharpen, got an autoencoder, which has no prior to draw from: "
            "leave --sharpen or --autoencoder out"
        )


class AdversarialTrainer(Trainer):
    """The decoder and the discriminator, an optimizer for each."""

    def __init__(self, run: Run, schedule: Schedule) -> None:
        self.run, self.schedule = run, schedule
        device, checkpoint = run.fabric.device, run.checkpoint
        self.model = checkpoint.fitted_model().to(device)
        self.mu, self.logvar = encode(self.model, run.data.train)
        self.items = run.data.train.to(device)
        torch.manual_seed(checkpoint.recipe.seed)  # the same discriminator in a resumed stage
        self.decoder, self.discriminator = (
            player.to(device, memory_format=torch.channels_last)
            for player in (self.model.decoder, Discriminator(run.data.x_shape[0]))
        )
        self.average = averaging(self.decoder, schedule.steps)
        optimizers = [
            torch.optim.Adam(player.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.99))
            for player in (self.decoder, self.discriminator)
        ]
        self.parts = {
            "decoder": self.decoder,
            "discriminator": self.discriminator,
            "decoder_optimizer": optimizers[0],
            "discriminator_optimizer": optimizers[1],
            "ema": self.average.module,
        }
        if checkpoint.finetune_decoder is not None:
            self.load(checkpoint.finetune_decoder)
        self.decode, self.decoder_optimizer = run.setup(self.decoder, optimizers[0])
        self.judge, self.discriminator_optimizer = run.fabric.setup(
            self.discriminator, optimizers[1]
        )
        self.optimizers = [self.decoder_optimizer, self.discriminator_optimizer]

    def step(self, rows: Tensor, step: int) -> Figures:
        x = as_float(self.items[rows]).contiguous(memory_format=torch.channels_last)
        x_hat = torch.sigmoid(self.decode(self.latents(rows, step)).float())
        fabric = self.run.fabric

        loss = discriminator_loss(self.judge, x, x_hat)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        self.discriminator_optimizer.step()

        self.discriminator.requires_grad_(False)
        with fabric.no_backward_sync(self.judge):  # it does not learn from the decoder's loss
            deception, pixels = decoder_loss(self.judge, x, x_hat, FEATURE_WEIGHT, PIXEL_WEIGHT)
        self.decoder_optimizer.zero_grad(set_to_none=True)
        fabric.backward(deception)
        self.decoder_optimizer.step()
        self.discriminator.requires_grad_(True)
        self.average.update_parameters(self.decoder)
        return {"discriminator": loss, "pixels": pixels}

    def latents(self, rows: Tensor, step: int) -> Tensor:
        """Return a z of each item's posterior, then as many draws from the prior."""
        checkpoint = self.run.checkpoint
        draws = sampling.draw(
            checkpoint.prior,
            len(rows),
            self.model.latent_dim,
            seed=checkpoint.recipe.seed,
            start=step * self.schedule.batch + self.run.fabric.global_rank * len(rows),
        )
        z = self.model.reparameterize(self.mu[rows], self.logvar[rows])
        return torch.cat([z, torch.from_numpy(draws).to(z.device)])

    def keep(self, step: int) -> None:
        items = self.items[:SIGMA_ITEMS]
        sigma = log_sigma(self.model, self.average.module, self.mu, self.logvar, items)
        self.run.checkpoint.finetune_decoder = self.state(step, sigma)
        self.run.save()


class Discriminator(nn.Module):
    """Map x to the features of each layer and a score for each patch (Isola et al. 2017).

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
    """Return the hinge loss: scores should be above 1 for real items and below -1 for x_hat."""
    _, scores = discriminator(torch.cat([x, x_hat.detach()]))
    real, fake = scores.split([len(x), len(x_hat)])
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def decoder_loss(
    discriminator: nn.Module, x: Tensor, x_hat: Tensor, feature_weight: float, pixel_weight: float
) -> tuple[Tensor, Tensor]:
    """Return the loss and the mean squared error of the pixels.

    `x_hat` holds the reconstructions of x, then draws from the prior. The loss asks that all score
    well, and that the reconstructions are near x in the discriminator's features and in pixels.
    """
    features, scores = discriminator(torch.cat([x_hat, x]))
    fake = [f[: len(x)] for f in features]
    real = [f[len(x_hat) :].detach() for f in features]
    distance = torch.stack([F.l1_loss(a, b) for a, b in zip(fake, real, strict=True)]).mean()
    pixels = F.mse_loss(x_hat[: len(x)], x)
    score = scores[: len(x_hat)].mean()
    return -score + feature_weight * distance + pixel_weight * pixels, pixels


@torch.inference_mode()
def log_sigma(model: VAE, decoder: nn.Module, mu: Tensor, logvar: Tensor, items: Tensor) -> float:
    """Return the most likely log sigma of a decoder: the log of its root mean squared error."""
    errors = []
    for rows in torch.arange(len(items)).split(1000):
        x_hat = torch.sigmoid(decoder(model.reparameterize(mu[rows], logvar[rows])))
        errors.append((x_hat - as_float(items[rows])).square().mean())
    return 0.5 * torch.stack(errors).mean().log().item()
