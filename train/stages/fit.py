"""The first stage: maximise the elbo."""

import dataclasses
import time

import torch
from torch import Tensor

from edgevae.errors import InputError
from train.data import scaling
from train.data.dataset import Data, as_float
from train.model import elbo
from train.model.checkpoint import Checkpoint
from train.model.models import VAE
from train.stages.loop import Figures, Run, Trainer, adamw, averaging, corrupt, train
from train.stages.schedule import Schedule

WARMUP = 1000  # steps over which the rate, and unless the recipe says otherwise beta, rises
CLIP = 500.0  # the largest norm of a gradient


class Fit:
    """Train all weights by the elbo, as the run's recipe says.

    `stop_after` ends the stage after that many epochs of its schedule. The weights start from the
    averaged ones of the checkpoint `start`, or from random ones.
    """

    name = "fit"

    def __init__(self, stop_after: int | None = None, start: Checkpoint | None = None) -> None:
        self.stop_after, self.start = stop_after, start

    def check(self, data: Data, variational: bool) -> None:
        """Accept every data set."""

    def run(self, run: Run) -> None:
        recipe = run.checkpoint.recipe
        schedule = run.schedule(
            self.name, recipe.epochs, recipe.learning_rate, state=run.checkpoint.fit
        )
        if schedule.first > schedule.steps:
            raise InputError(
                f"--resume: expected a checkpoint of at most {schedule.steps:,} steps, those of "
                f"{recipe.epochs} epochs, got one of {schedule.first:,}: pass more --epochs"
            )
        schedule = dataclasses.replace(
            schedule,
            warmup=max(1, min(WARMUP, schedule.steps // 10)),
            stop_after=self.stop_after,
        )
        if schedule.first < schedule.last:
            run.checkpoint.drop_later_stages()
            train(run, schedule, ElboTrainer(run, schedule, self.start))


class ElboTrainer(Trainer):
    """The whole model, and one optimizer."""

    def __init__(self, run: Run, schedule: Schedule, start: Checkpoint | None) -> None:
        self.run, self.recipe, self.schedule = run, run.checkpoint.recipe, schedule
        device = run.fabric.device
        run.fabric.seed_everything(self.recipe.seed, verbose=False)
        model, items = run.checkpoint.build(), run.data.train
        if model.standardises:
            standardise(model, items)
            items = scaling.bounded(items, model.shift, model.scale)
        if start is not None:
            model.load_state_dict(start.fit.parts["ema"])
        elif model.prior is not None:
            model.prior.start(as_float(items))
        self.items = items.to(device)
        self.labels = run.data.train_labels.long().to(device) if model.classes else None
        self.bare = model.to(device, memory_format=torch.channels_last)
        optimizer = adamw(self.bare, schedule.learning_rate)
        self.average = averaging(self.bare, schedule.steps)
        self.parts = {"model": self.bare, "ema": self.average.module, "optimizer": optimizer}
        if run.checkpoint.fit is not None:
            self.load(run.checkpoint.fit)
        self.model, self.optimizer = run.setup(self.bare, optimizer)
        self.optimizers = [self.optimizer]
        self.spent, self.began = run.checkpoint.seconds, time.monotonic()

    def beta(self, step: int) -> float:
        """Return the weight of the KL at this step."""
        epochs = self.recipe.beta_warmup
        rise = self.schedule.warmup if epochs is None else epochs * self.schedule.epoch_steps
        return self.recipe.beta * min(1.0, step / max(1, rise))

    def step(self, rows: Tensor, step: int) -> Figures:
        x, y = as_float(self.items[rows]), None if self.labels is None else self.labels[rows]
        x = torch.bernoulli(x) if self.recipe.binarise else x
        loss, recon, kl = elbo.loss(
            self.model,
            corrupt(x, self.recipe.noise * self.bare.scale),
            x,
            beta=self.beta(step),
            y=y,
            draws=self.recipe.draws,
        )
        fabric = self.run.fabric
        self.optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(self.model, self.optimizer, max_norm=CLIP, error_if_nonfinite=False)
        self.optimizer.step()
        self.average.update_parameters(self.bare)
        return {"recon": recon, "kl": kl, "elbo": -(recon + kl)}

    def evaluate(self) -> dict[str, float]:
        return held_out(self.average.module, self.run.data, self.recipe.binarise)

    def keep(self, step: int) -> None:
        self.run.checkpoint.fit = self.state(step)
        self.run.checkpoint.seconds = self.spent + time.monotonic() - self.began
        self.run.save()


def standardise(model: VAE, items: Tensor) -> None:
    """Set the model's centre and scale of each feature, the same at every step of a signal."""
    for buffer, part in zip((model.shift, model.scale), scaling.robust(items), strict=True):
        buffer.copy_(part.reshape(-1, *(1,) * (buffer.ndim - 1)).expand_as(buffer))


@torch.inference_mode()
def held_out(model: VAE, data: Data, binarise: bool = False) -> dict[str, float]:
    """Return recon, kl and elbo of 2,000 test items under the averaged weights, one z each."""
    parts = []
    for rows in torch.arange(min(2000, len(data.test))).split(500):
        x = as_float(data.test[rows].to(model.log_sigma.device))
        x = torch.bernoulli(x) if binarise else x
        x_hat, kl = model(x, data.test_labels[rows].long().to(x.device) if model.classes else None)
        parts.append(torch.stack([elbo.recon(model, x, x_hat), kl], dim=1))
    recon, kl = torch.cat(parts).mean(0).tolist()
    return {"test_recon": recon, "test_kl": kl, "test_elbo": -(recon + kl)}
