"""The recipe of a training run: the settings of its first stage, fixed when the run begins."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# Settings that came later. They are stored only if they differ from their defaults, so that the
# checkpoints and bundles of runs without them say the same as before.
_LATER = ("beta_warmup", "draws")


@dataclass(frozen=True)
class Recipe:
    """The settings of the first stage; later stages use its `batch`, `seed`, `beta` and `noise`.

    `batch` is the number of items in a step, over all processes. `beta` is the weight of the KL; it
    rises from zero over `beta_warmup` epochs (None: over a thousand steps, or a tenth of all steps
    if that is less), so that the posteriors do not collapse before the decoder has learned to use
    z; a longer rise keeps more latents active (Sønderby et al. 2016, "Ladder variational
    autoencoders"). `draws` is the number of z of each item in a step: more than one tightens the
    bound, and costs as many decodings. `noise` is the largest sigma of the noise that the encoder
    learns to see through, in standard deviations of each feature for vectors and signals.
    `binarise` draws each pixel from Bernoulli(x) whenever its item is used. `seed` is at most
    2**20 - 3.
    """

    epochs: int
    batch: int = 128
    learning_rate: float = 2e-3
    beta: float = 1.0
    noise: float = 0.0
    seed: int = 0
    binarise: bool = False
    beta_warmup: int | None = None
    draws: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a checkpoint and a bundle's provenance store them."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in _LATER or value != defaults[name]
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Recipe":
        return cls(**settings)
