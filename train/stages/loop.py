"""The loop that all stages of training share: batches, seeds, rates, averaging, logs, checkpoints.

Every random number of a step is a function of (seed, step, process), and the order of the items a
function of (seed, epoch). So a resumed run reaches the same weights as an uninterrupted one without
storing any generator's state.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgevae.errors import InputError
from train.data.dataset import Data
from train.model.checkpoint import Checkpoint, StageState
from train.model.models import VAE
from train.stages.progress import Progress
from train.stages.schedule import Schedule

LOG_EVERY = 50  # steps

Figures = dict[str, Tensor]


@dataclass
class Run:
    """A run of training, which all stages share: data, checkpoint, the folder `out`, Fabric."""

    fabric: Fabric
    checkpoint: Checkpoint
    data: Data
    out: Path
    compile_model: bool = False

    @property
    def path(self) -> Path:
        """The file of the checkpoint."""
        return self.out / "last.pt"

    def schedule(
        self,
        name: str,
        epochs: int,
        learning_rate: float,
        *,
        warmup: int = 100,
        seed_offset: int = 0,
        state: StageState | None = None,
    ) -> Schedule:
        """Return the steps of a stage, with the run's batch and seed, from the state it is in.

        `warmup` is in steps. `seed_offset` gives each stage other batches and draws.
        """
        recipe, items = self.checkpoint.recipe, len(self.data.train)
        return Schedule(
            name,
            items,
            min(recipe.batch, items),
            epochs,
            recipe.seed + seed_offset,
            learning_rate,
            warmup,
            first=0 if state is None else state.step,
        )

    def setup(
        self, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[Any, torch.optim.Optimizer]:
        """Return both as Fabric runs them, the model compiled if the run says so."""
        model = torch.compile(model) if self.compile_model else model
        return self.fabric.setup(model, optimizer)

    def report(self, text: str) -> None:
        """Print a line about the run on standard error, from the first process."""
        if self.fabric.is_global_zero:
            print(text, file=sys.stderr, flush=True)

    def save(self) -> None:
        """Write the logs and the checkpoint."""
        if self.fabric.is_global_zero:
            for logger in self.fabric.loggers:
                logger.save()
            self.checkpoint.save(self.path)


def begin(
    fabric: Fabric, wanted: Checkpoint, data: Data, out: Path, resumed: Checkpoint | None = None
) -> Run:
    """Return the run that `wanted` describes, from its start or from the checkpoint `resumed`.

    Raises `InputError` if `resumed` is a checkpoint of another run.
    """
    if resumed is None:
        return Run(fabric, wanted, data, out)
    resumed.check_same_run(wanted)
    resumed.recipe = wanted.recipe  # which may have more epochs
    return Run(fabric, resumed, data, out)


class Stage(Protocol):
    """A part of training: `run` trains, from the weights that the stages before it reached."""

    name: str

    def check(self, data: Data, variational: bool) -> None:
        """Raise `InputError` if the stage does not apply; called before any training."""

    def run(self, run: Run) -> None:
        """Bring the run's checkpoint to the end of the stage, from whatever state it is in."""


class Trainer:
    """The networks and optimizers of one stage.

    `parts` are those whose state a checkpoint keeps, by name. `optimizers` follow the schedule's
    rate, `average` is the averaged model.
    """

    parts: Mapping[str, nn.Module | torch.optim.Optimizer]
    optimizers: Sequence[torch.optim.Optimizer]
    average: AveragedModel

    def step(self, rows: Tensor, step: int) -> Figures:
        """Train on these rows of the training items; return figures to log, each a scalar."""
        raise NotImplementedError

    def evaluate(self) -> Mapping[str, float]:
        """Return figures of the test items, to log at the end of an epoch."""
        return {}

    def keep(self, step: int) -> None:
        """Write a checkpoint at the end of an epoch, if the stage writes one each epoch."""

    def state(self, step: int, log_sigma: float | None = None) -> StageState:
        """Return the state of the parts after `step` steps, for a checkpoint."""
        return StageState(
            step, {name: part.state_dict() for name, part in self.parts.items()}, log_sigma
        )

    def load(self, state: StageState) -> None:
        """Restore the parts from a checkpoint's state."""
        for name, part in self.parts.items():
            part.load_state_dict(state.parts[name])
        self.average.n_averaged.fill_(state.step)


def train(run: Run, schedule: Schedule, trainer: Trainer) -> None:
    """Run the steps of a stage; what was logged is written even if an error or Ctrl-C ends it."""
    fabric = run.fabric
    share = own_share(fabric, schedule.batch)
    progress = Progress(schedule, enabled=fabric.is_global_zero)
    try:
        for step in range(schedule.first, schedule.last):
            seed_step(schedule.seed, step, fabric.global_rank)
            for optimizer in trainer.optimizers:
                set_rate(optimizer, schedule.rate(step))
            rows = batch_rows(schedule.items, schedule.batch, step, schedule.seed)[share]
            figures = trainer.step(rows, step)
            done = step + 1
            progress.advance()
            epoch_ends = done % schedule.epoch_steps == 0
            if epoch_ends or done % LOG_EVERY == 0:
                progress.show(log(fabric, schedule.name, figures, done))
            if epoch_ends:
                held_out = trainer.evaluate() if fabric.is_global_zero else {}
                if held_out:
                    fabric.log_dict(held_out, step=done)
                trainer.keep(done)
                progress.end_epoch(done, held_out)
    finally:
        progress.close()
        for logger in fabric.loggers:
            logger.finalize("success")


def log(fabric: Fabric, stage: str, figures: Figures, step: int) -> dict[str, float]:
    """Log the figures of a batch, their means over all processes, and return them.

    Figures of the first stage are logged under their own names, others after their stage's.
    """
    values = torch.stack([value.detach().float() for value in figures.values()])
    numbers = dict(zip(figures, fabric.all_reduce(values).tolist(), strict=True))
    if not all(map(math.isfinite, numbers.values())):
        raise FloatingPointError(
            f"expected finite figures, got {numbers} at step {step} of stage {stage}: lower "
            "--learning-rate"
        )
    prefix = "" if stage == "fit" else f"{stage}_"
    fabric.log_dict({prefix + name: value for name, value in numbers.items()}, step=step)
    return numbers


# --- processes and precision -----------------------------------------------------------------


def make_fabric(
    out: Path,
    log: str,
    precision: str | None = None,
    accelerator: str = "auto",
    devices: int | None = None,
) -> Fabric:
    """Return Fabric, launched: with `devices` processes, or one for each GPU, or one on the CPU.

    `log` is "csv" or "tensorboard"; `precision` None is the fastest that the hardware has.
    """
    logger = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}[log](out, name="log")
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices or "auto",
        precision=precision or fastest_precision(accelerator),
        loggers=logger,
    )
    fabric.launch()
    return fabric


def fastest_precision(accelerator: str = "auto") -> str:
    """Return "bf16-mixed" if the hardware multiplies bf16, else "32-true"."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return "bf16-mixed" if any(has() for has in capabilities) else "32-true"


def own_share(fabric: Fabric, batch: int) -> slice:
    """Return the part of each batch that this process trains on."""
    share, rest = divmod(batch, fabric.world_size)
    if rest or not share:
        raise InputError(
            f"expected a batch that {fabric.world_size} processes can share, got {batch} items: "
            f"pass --batch a multiple of {fabric.world_size}, or another --devices"
        )
    return slice(fabric.global_rank * share, (fabric.global_rank + 1) * share)


# --- a step ----------------------------------------------------------------------------------


def seed_step(seed: int, step: int, process: int = 0) -> None:
    """Make every draw of this step a function of (seed, step, process), seed < 2**20."""
    torch.manual_seed((seed << 44) ^ (process << 36) ^ step)


def batch_rows(items: int, batch: int, step: int, seed: int) -> Tensor:
    """Return the rows of a step: each epoch has a new order; an incomplete batch is left out."""
    epoch, place = divmod(step, items // batch)
    order = torch.randperm(items, generator=torch.Generator().manual_seed((seed << 32) ^ epoch))
    return order[place * batch : (place + 1) * batch]


def corrupt(x: Tensor, noise: float | Tensor, share: float = 0.3) -> Tensor:
    """Add Gaussian noise to a `share` of the items, its sigma uniform in [0, noise] for each.

    `noise` is a number, or one for each value of an item.
    """
    ones = (1,) * (x.ndim - 1)
    sigma = noise * torch.rand(len(x), *ones, device=x.device)
    chosen = torch.rand(len(x), *ones, device=x.device) < share
    return x + chosen * sigma * torch.randn_like(x)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def adamw(model: VAE, learning_rate: float) -> torch.optim.AdamW:
    """Return an optimizer of the parameters that require gradients."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        learned, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )


def averaging(model: nn.Module, steps: int) -> AveragedModel:
    """Return an exponential moving average over the last tenth of `steps`, 2,000 at most."""
    decay = 1 - 1 / max(1, min(2000, steps // 10))
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
