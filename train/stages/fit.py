"""The first stage: maximise the elbo.

Every random number of a step is a function of (seed, step, process), and the order of the items
one of (seed, epoch). So a resumed run needs no generator's state to reach the same weights as a
run that was never stopped.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from edgevae.errors import InputError
from train.data import scaling
from train.data.dataset import Data, as_float
from train.model import checkpoint, elbo
from train.model.models import VAE

LOG_EVERY = 50  # steps


def fabric(
    out: Path,
    log: str,
    precision: str | None = None,
    accelerator: str = "auto",
    devices: int | None = None,
) -> Fabric:
    """The engine: one process or many, every GPU or one CPU process if `devices` is None."""
    logger = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}[log](out, name="log")
    return Fabric(
        accelerator=accelerator,
        devices=devices or "auto",
        precision=precision or fastest_precision(accelerator),
        loggers=logger,
    )


def fastest_precision(accelerator: str = "auto") -> str:
    """bf16 where the hardware multiplies it, else float32."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return "bf16-mixed" if any(has() for has in capabilities) else "32-true"


def seed_step(seed: int, step: int, process: int = 0) -> None:
    """Make every draw of this step a function of (seed, step, process), seed < 2**20."""
    torch.manual_seed((seed << 44) ^ (process << 36) ^ step)


def batch_rows(items: int, batch: int, step: int, seed: int) -> Tensor:
    """The rows of step `step`: each epoch a new order; what does not fill a batch is left out."""
    epoch, place = divmod(step, items // batch)
    order = torch.randperm(items, generator=torch.Generator().manual_seed((seed << 32) ^ epoch))
    return order[place * batch : (place + 1) * batch]


def own_share(engine: Fabric, batch: int) -> slice:
    """The part of each batch that is this process's."""
    share, left = divmod(batch, engine.world_size)
    if left or not share:
        raise InputError(
            f"expected a batch that {engine.world_size} processes can share, got {batch} items: "
            f"give --batch a multiple of {engine.world_size}, or another --devices"
        )
    return slice(engine.global_rank * share, (engine.global_rank + 1) * share)


def corrupt(x: Tensor, noise: float | Tensor, share: float = 0.3) -> Tensor:
    """Add Gaussian noise to a `share` of the items, its sigma uniform in [0, noise] for each.

    `noise` is a number, or one for each value of an item.
    """
    ones = (1,) * (x.ndim - 1)
    sigma = noise * torch.rand(len(x), *ones, device=x.device)
    chosen = torch.rand(len(x), *ones, device=x.device) < share
    return x + chosen * sigma * torch.randn_like(x)


def cosine(step: int, steps: int, warmup: int) -> float:
    """The learning rate's factor: a linear start, then half a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def averaging(model: nn.Module, steps: int) -> AveragedModel:
    """An exponential moving average over the last tenth of `steps`, over 2,000 steps at most."""
    decay = 1 - 1 / max(1, min(2000, steps // 10))
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


def progress(engine: Fabric, description: str, total: int, done: int) -> tqdm:
    """A bar of items on the first process's terminal: their rate, and the time left."""
    return tqdm(
        desc=description,
        total=total,
        initial=done,
        unit="img",
        unit_scale=True,
        smoothing=0.05,
        disable=None if engine.is_global_zero else True,
    )


def fit(
    engine: Fabric,
    model: VAE,
    data: Data,
    out: Path,
    *,
    description: dict[str, Any],
    epochs: int,
    batch: int = 128,
    learning_rate: float = 2e-3,
    beta: float = 1.0,
    beta_warmup: int | None = None,
    draws: int = 1,
    noise: float = 0.5,
    clip: float = 500.0,
    seed: int = 0,
    start: dict[str, Any] | None = None,
    resume: dict[str, Any] | None = None,
    stop_after: int | None = None,
    binarise: bool = False,
    compile_model: bool = False,
) -> dict[str, Any]:
    """Train `model`; return the last checkpoint, also written to out/last.pt every epoch.

    `description` (the architecture, the data) goes into the checkpoint as it is. `beta` rises
    from zero over `beta_warmup` epochs, else a thousand steps, lest the posteriors collapse before
    the decoder has learned to listen: the longer it takes, the more latents stay active (Sønderby
    et al. 2016, "Ladder variational autoencoders"). `draws` are the z of each item in a step: more
    than one tighten the bound, at the cost of as many decodings. `noise` is the largest sigma of
    the noise the encoder learns to see through, in standard deviations of each feature where items
    are vectors. `start` is a checkpoint of another run, whose averaged weights this one begins at.
    `resume` is a checkpoint to go on from, and what comes back where it is already finished.
    `stop_after` ends the run after so many epochs of the schedule. `batch` is that of all
    processes together. `binarise` draws each pixel anew from Bernoulli(x) whenever its item is
    seen (dynamic binarisation).
    """
    batch = min(batch, len(data.train))
    epoch_steps = len(data.train) // batch
    steps = epochs * epoch_steps
    last = steps if stop_after is None else min(steps, stop_after * epoch_steps)
    warmup = max(1, min(1000, steps // 10))
    beta_steps = warmup if beta_warmup is None else max(1, beta_warmup * epoch_steps)
    mine = own_share(engine, batch)
    step = 0 if resume is None else first_step(resume, description, steps)
    if resume is not None and step >= last:
        return resume

    train = data.train
    labels = data.train_labels.long().to(engine.device) if model.classes else None
    if model.standardises:
        standardise(model, train)
        train = scaling.bounded(train, model.shift, model.scale)
    if start is not None:
        model.load_state_dict(start["ema"])
    elif model.prior is not None:
        model.prior.start(as_float(train))
    train = train.to(engine.device)
    bare = model.to(engine.device, memory_format=torch.channels_last)
    optimizer = adamw(bare, learning_rate)
    average = averaging(bare, steps)
    if resume is not None:
        bare.load_state_dict(resume["model"])
        average.module.load_state_dict(resume["ema"])
        average.n_averaged.fill_(step)
        optimizer.load_state_dict(resume["optimizer"])
    model, optimizer = engine.setup(torch.compile(bare) if compile_model else bare, optimizer)

    spent = 0.0 if resume is None else resume.get("seconds", 0.0)
    began = time.monotonic()

    def content() -> dict[str, Any]:
        return description | {
            "step": step,
            "seconds": spent + time.monotonic() - began,
            "model": bare.state_dict(),
            "ema": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
        }

    bar = progress(engine, "elbo", last * batch, step * batch)
    while step < last:
        seed_step(seed, step, engine.global_rank)
        rows = batch_rows(len(train), batch, step, seed)[mine]
        x, y = as_float(train[rows]), None if labels is None else labels[rows]
        x = torch.bernoulli(x) if binarise else x
        set_rate(optimizer, learning_rate * cosine(step, steps, warmup))
        loss, recon, kl = elbo.loss(
            model,
            corrupt(x, noise * bare.scale),
            x,
            beta=beta * min(1.0, step / beta_steps),
            y=y,
            draws=draws,
        )
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        engine.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
        optimizer.step()
        average.update_parameters(bare)
        step += 1
        bar.update(batch)
        if step % LOG_EVERY == 0 or step == last:
            report(engine, bar, step, recon, kl)
        if step % epoch_steps == 0 and engine.is_global_zero:
            engine.log_dict(held_out(average.module, data, binarise), step=step)
            keep(engine, out, content())
    end(engine, bar)
    return content()


def first_step(resume: dict[str, Any], description: dict[str, Any], steps: int) -> int:
    """The step to go on from; InputError where `resume` is of another run."""
    checkpoint.check_same_run(resume, description)
    step: int = resume["step"]
    if step > steps:
        raise InputError(
            f"--resume: expected a checkpoint of at most {steps:,} steps, those of "
            f"{description['recipe']['epochs']} epochs, got one of {step:,}: give more --epochs"
        )
    return step


def adamw(model: VAE, learning_rate: float) -> torch.optim.AdamW:
    """Of what is learned: a Bernoulli's log_sigma is not."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        learned, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )


def report(engine: Fabric, bar: tqdm, step: int, recon: Tensor, kl: Tensor) -> None:
    """Show and log a batch's nats; FloatingPointError where they are no longer numbers."""
    recon, kl = engine.all_reduce(torch.stack([recon.detach(), kl.detach()])).tolist()
    nats = {"recon": recon, "kl": kl, "elbo": -(recon + kl)}
    if not math.isfinite(nats["elbo"]):
        raise FloatingPointError(
            f"expected a finite elbo, got {nats} at step {step}: lower --learning-rate"
        )
    bar.set_postfix({name: f"{value:.1f}" for name, value in nats.items()})
    engine.log_dict(nats, step=step)


def show(engine: Fabric, bar: tqdm, stage: str, figures: dict[str, Tensor], step: int) -> None:
    """Show and log what a batch of a later stage came to; in the log by the stage's name too."""
    numbers = {name: value.item() for name, value in figures.items()}
    bar.set_postfix({name: f"{value:.4g}" for name, value in numbers.items()})
    engine.log_dict({f"{stage}_{name}": value for name, value in numbers.items()}, step=step)


def keep(engine: Fabric, out: Path, content: dict[str, Any]) -> None:
    """Write the logs and the checkpoint of an epoch."""
    for logger in engine.loggers:
        logger.save()
    checkpoint.save(out / "last.pt", content)


def end(engine: Fabric, bar: tqdm) -> None:
    """Close a stage's bar and logs."""
    bar.close()
    for logger in engine.loggers:
        logger.finalize("success")


def standardise(model: VAE, train: Tensor) -> None:
    """Give the model each feature's centre and scale, the same at every step of a signal."""
    for buffer, part in zip((model.shift, model.scale), scaling.robust(train), strict=True):
        buffer.copy_(part.reshape(-1, *(1,) * (buffer.ndim - 1)).expand_as(buffer))


@torch.inference_mode()
def held_out(model: VAE, data: Data, binarise: bool = False) -> dict[str, float]:
    """recon, kl and elbo of 2,000 test items under the averaged weights, one z each."""
    parts = []
    for rows in torch.arange(min(2000, len(data.test))).split(500):
        x = as_float(data.test[rows].to(model.log_sigma.device))
        x = torch.bernoulli(x) if binarise else x
        x_hat, kl = model(x, data.test_labels[rows].long().to(x.device) if model.classes else None)
        parts.append(torch.stack([elbo.recon(model, x, x_hat), kl], dim=1))
    recon, kl = torch.cat(parts).mean(0).tolist()
    return {"test_recon": recon, "test_kl": kl, "test_elbo": -(recon + kl)}
