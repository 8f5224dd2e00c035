"""Show how far a stage has come: a bar on a terminal, and in a log a line for each epoch."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from train.stages.schedule import Schedule


class Progress:
    """The progress of one stage on standard error; nothing is shown unless `enabled`."""

    def __init__(self, schedule: Schedule, *, enabled: bool) -> None:
        terminal = sys.stderr.isatty()
        self._schedule, self._lines = schedule, enabled and not terminal
        self._figures: dict[str, float] = {}
        self._began = time.monotonic()
        self._bar = tqdm(
            desc=schedule.name,
            total=schedule.last * schedule.batch,
            initial=schedule.first * schedule.batch,
            unit="item",
            unit_scale=True,
            smoothing=0.05,
            disable=not (enabled and terminal),
        )
        if schedule.first < schedule.last:
            self._print(f"{schedule.epoch_steps:,} steps of {schedule.batch:,} items an epoch")

    def advance(self) -> None:
        """Count one step."""
        self._bar.update(self._schedule.batch)

    def show(self, figures: Mapping[str, float]) -> None:
        """Show the figures of the last batch."""
        self._figures = dict(figures)
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()})

    def end_epoch(self, step: int, held_out: Mapping[str, float]) -> None:
        """Print the line of an epoch that has just ended."""
        figures = {**self._figures, **held_out}
        words = [f"{name} {value:.4g}" for name, value in figures.items()]
        epoch = step // self._schedule.epoch_steps
        seconds = time.monotonic() - self._began
        self._print(
            ", ".join([f"epoch {epoch} of {self._schedule.epochs}", *words, f"{seconds:.0f} s"])
        )

    def close(self) -> None:
        self._bar.close()

    def _print(self, text: str) -> None:
        if self._lines:
            print(f"{self._schedule.name}: {text}", file=sys.stderr, flush=True)
