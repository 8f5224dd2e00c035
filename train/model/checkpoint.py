"""A checkpoint: everything that a training run needs to go on, in one file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgevae.errors import InputError
from edgevae.sampling import MixtureTable
from train.model import state_file
from train.model.models import VAE, build
from train.model.recipe import Recipe

StateDict = dict[str, Any]

# The keys under which a file stores the stages after the first, by the names of their fields.
_KEYS = {
    "finetune_text": "spelled",
    "finetune_decoder": "sharp",
    "finetune_encoder": "attuned",
}
_FIRST_STAGE = ("model", "ema", "optimizer")


@dataclass
class StageState:
    """The state of one stage after `step` steps: the state dict of each of its parts, by name.

    The part "ema" holds the averaged weights, which are exported. `log_sigma` replaces the model's
    in stages that change the error of its reconstructions.
    """

    step: int
    parts: dict[str, StateDict]
    log_sigma: float | None = None

    def as_dict(self) -> dict[str, Any]:
        sigma = {} if self.log_sigma is None else {"log_sigma": self.log_sigma}
        return {**self.parts, "step": self.step, **sigma}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "StageState":
        parts = {name: part for name, part in content.items() if name not in ("step", "log_sigma")}
        return cls(content["step"], parts, content.get("log_sigma"))


@dataclass
class Checkpoint:
    """A training run: its description, which is fixed, and the state of its stages.

    The description is `architecture` (the arguments of `models.build`), `recipe`, `data`
    (`Data.facts` and the column that separates runs), `classes` (the names that a conditional
    model knows) and `samples` (the first test items, by which the data are recognised).

    A stage's state is None until its first epoch has ended; `finetune_text` until the whole stage
    has. `prior` is what generation draws from, None for N(0, I); it is known once `has_prior` is
    set. With `by_class` it holds the mixtures of all classes, one after the other. `seconds` is
    the time that the first stage took.
    """

    architecture: dict[str, Any]
    recipe: Recipe
    data: dict[str, Any]
    samples: Tensor
    classes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    fit: StageState | None = None
    finetune_text: StageState | None = None
    has_prior: bool = False
    prior: MixtureTable | None = None
    by_class: bool = False
    finetune_decoder: StageState | None = None
    finetune_encoder: StageState | None = None

    @property
    def variational(self) -> bool:
        """True for a VAE, False for an autoencoder, which has neither prior nor later stages."""
        return bool(self.architecture["variational"])

    @property
    def step(self) -> int:
        """The number of steps of the first stage."""
        return 0 if self.fit is None else self.fit.step

    def build(self) -> VAE:
        """Return the model with random weights."""
        return build(self.architecture)

    def fitted_model(self) -> VAE:
        """Return the model with the averaged weights of the first stage."""
        if self.fit is None:
            raise InputError("expected a checkpoint with weights, got one of a run before training")
        model = self.build()
        model.load_state_dict(self.fit.parts["ema"])
        return model

    def averaged_model(self) -> VAE:
        """Return the model with the averaged weights of all stages: the one that is exported."""
        model = self.fitted_model()
        if self.finetune_text is not None:
            model.load_state_dict(self.finetune_text.parts["ema"])
        for part, state in (
            (model.decoder, self.finetune_decoder),
            (model.encoder, self.finetune_encoder),
        ):
            if state is not None:
                part.load_state_dict(state.parts["ema"])
                model.log_sigma.data.fill_(state.log_sigma)
        return model.eval()

    def drop_later_stages(self) -> None:
        """Forget the stages after the first, and the prior, before the first one continues."""
        self.finetune_text = self.finetune_decoder = self.finetune_encoder = None
        self.has_prior, self.prior, self.by_class = False, None, False

    def save(self, path: Path) -> None:
        """Write the checkpoint to `path`, where it appears complete or not at all."""
        content: dict[str, Any] = {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "data": self.data,
            "classes": self.classes,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        if self.fit is not None:
            content |= self.fit.as_dict()
        if self.has_prior:
            content |= {"prior": _tensors(self.prior), "by_class": self.by_class}
        for name, key in _KEYS.items():
            state: StageState | None = getattr(self, name)
            if state is not None:
                content[key] = state.as_dict()
        state_file.write(path, content)

    @classmethod
    def from_file(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, its tensors on the CPU; raises as `state_file.read` does."""
        content = state_file.read(path)
        if not isinstance(content, dict) or "architecture" not in content:
            raise InputError(
                f"expected a checkpoint of `python -m train`, got other tensors in {path}"
            )
        stages = {
            name: StageState.from_dict(content[key])
            for name, key in _KEYS.items()
            if key in content
        }
        prior = content.get("prior")
        first = {name: content[name] for name in _FIRST_STAGE if name in content}
        return cls(
            architecture=content["architecture"],
            recipe=Recipe.from_dict(content["recipe"]),
            data=content["data"],
            samples=content["samples"],
            classes=content.get("classes", []),
            seconds=content.get("seconds", 0.0),
            fit=StageState(content["step"], first) if "step" in content else None,
            has_prior="prior" in content,
            prior=None if prior is None else MixtureTable(*(part.numpy() for part in prior)),
            by_class=content.get("by_class", False),
            **stages,
        )

    def check_same_run(self, wanted: "Checkpoint") -> None:
        """Raise `InputError` unless this run's description is that of `wanted`.

        The number of epochs may differ: the learning rate then follows the other schedule.
        """
        for part, begun, requested in (
            ("architecture", self.architecture, wanted.architecture),
            ("recipe", asdict(self.recipe), asdict(wanted.recipe)),
        ):
            for key in {**begun, **requested}:
                if key != "epochs" and begun.get(key) != requested.get(key):
                    raise InputError(
                        f"--resume: expected the {part} that the run was begun with, {key} = "
                        f"{begun.get(key)}, got {requested.get(key)}: pass the same options "
                        "again, or begin a new run in another --out"
                    )
        if not torch.equal(self.samples, wanted.samples):
            raise InputError(
                f"--resume: expected the data that the run was begun with, {self.data['name']!r}, "
                f"got others, {wanted.data['name']!r}: pass the same --data and --size, or begin "
                "a new run in another --out"
            )


def _tensors(table: MixtureTable | None) -> list[Tensor] | None:
    """Return a mixture as a checkpoint stores it."""
    if table is None:
        return None
    return [torch.from_numpy(part.copy()) for part in (table.weights, table.means, table.logvars)]
