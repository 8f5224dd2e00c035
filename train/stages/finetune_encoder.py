"""A stage for images: an encoder for the decoder and the prior that are exported (`--attune`).

The first stage trains the encoder together with a decoder that a later stage changes, and under
N(0, I), where a mixture is fitted afterwards. This stage holds the final decoder and prior fixed.
The encoder alone goes on maximising the elbo, of noisy items as much as of clean ones, so that it
reconstructs and denoises better. A mixture is fitted again afterwards, to the new posteriors.
"""

import torch
from torch import Tensor

from edgevae.errors import InputError
from train.data.dataset import Data, as_float
from train.model import elbo
from train.model.checkpoint import Checkpoint
from train.model.models import VAE
from train.model.prior import Free
from train.stages.finetune_decoder import SIGMA_ITEMS, log_sigma
from train.stages.loop import Figures, Run, Trainer, adamw, averaging, corrupt, train
from train.stages.mixture import encode
from train.stages.schedule import Schedule

LEARNING_RATE = 1e-3


class FinetuneEncoder:
    """Fine-tune the encoder of images for the final decoder and prior."""

    name = "attune"

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def check(self, data: Data, variational: bool) -> None:
        if not data.drawable or not variational:
            got = "an autoencoder" if data.drawable else f"{data.kind} data"
            raise InputError(f"expected a VAE of images to attune, got {got}: leave --attune out")

    def run(self, run: Run) -> None:
        state = run.checkpoint.finetune_encoder
        schedule = run.schedule(self.name, self.epochs, LEARNING_RATE, seed_offset=2, state=state)
        if schedule.first < schedule.last:
            train(run, schedule, EncoderTrainer(run, schedule))


class EncoderTrainer(Trainer):
    """The encoder within the final model, and one optimizer."""

    def __init__(self, run: Run, schedule: Schedule) -> None:
        self.run, self.recipe = run, run.checkpoint.recipe
        device = run.fabric.device
        self.items = run.data.train.to(device)
        self.last = schedule.last
        self.bare = final_model(run.checkpoint).to(device, memory_format=torch.channels_last)
        optimizer = adamw(self.bare, LEARNING_RATE)
        self.average = averaging(self.bare, schedule.steps)
        self.parts = {
            "encoder": self.bare.encoder,
            "optimizer": optimizer,
            "ema": self.average.module.encoder,
        }
        if run.checkpoint.finetune_encoder is not None:
            self.load(run.checkpoint.finetune_encoder)
        self.model, self.optimizer = run.setup(self.bare, optimizer)
        self.optimizers = [self.optimizer]

    def step(self, rows: Tensor, step: int) -> Figures:
        x = as_float(self.items[rows])
        x_hat, kl = self.model(corrupt(x, self.recipe.noise, share=1.0))
        error, kl = recon(self.bare, x, x_hat.float()).mean(), kl.mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.run.fabric.backward(error + self.recipe.beta * kl)
        self.optimizer.step()
        self.average.update_parameters(self.bare)
        return {"recon": error, "kl": kl}

    def keep(self, step: int) -> None:
        items, model = self.items[:SIGMA_ITEMS], self.average.module
        sigma = log_sigma(model, model.decoder, *encode(model, items), items)
        self.run.checkpoint.finetune_encoder = self.state(step, sigma)
        if step == self.last:
            self.run.checkpoint.has_prior = False  # it was fitted to the posteriors before
        self.run.save()


def final_model(checkpoint: Checkpoint) -> VAE:
    """Return the averaged model with the exported prior; its encoder alone requires gradients."""
    model, table = checkpoint.averaged_model(), checkpoint.prior
    if table is not None:
        model.prior = Free(len(table.weights), model.latent_dim)
        model.prior.copy_from(table)
    model.requires_grad_(False)
    model.encoder.requires_grad_(True)
    return model


def recon(model: VAE, x: Tensor, x_hat: Tensor) -> Tensor:
    """Return -log p(x|z) of items x (N, *x_shape), up to a constant: (N,) nats.

    A Gaussian has a sigma for each item, its most likely one, so that a noisy item, whose error is
    large, weighs no more than a clean one.
    """
    if model.likelihood == "bernoulli":
        return elbo.recon(model, x, x_hat)
    errors = (x - x_hat).flatten(1)
    return 0.5 * errors.shape[1] * errors.square().mean(1).log()
