"""The schedule of a stage: its steps, epochs and learning rate."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The steps of a stage: `epochs` epochs over `items` items, `batch` items a step.

    The rate rises over `warmup` steps to `learning_rate`, and falls to zero with the last step.
    The stage continues at step `first`, and with `stop_after` ends after that many epochs.
    """

    name: str
    items: int
    batch: int
    epochs: int
    seed: int
    learning_rate: float
    warmup: int = 100
    first: int = 0
    stop_after: int | None = None

    @property
    def epoch_steps(self) -> int:
        """The number of steps in an epoch; an incomplete batch is left out."""
        return self.items // self.batch

    @property
    def steps(self) -> int:
        """The number of steps of the complete stage."""
        return self.epochs * self.epoch_steps

    @property
    def last(self) -> int:
        """The number of steps after which this run of the stage ends."""
        return min(self.stop_after or self.epochs, self.epochs) * self.epoch_steps

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.learning_rate * cosine(step, self.steps, self.warmup)


def cosine(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate's factor: a linear start, then half a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
