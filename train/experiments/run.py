"""A run that a module describes, where the command line would otherwise."""

from pathlib import Path
from typing import Any

from train.data.dataset import Data
from train.model import checkpoint
from train.stages.fit import fabric, fit


def fitted(
    data: Data,
    out: Path,
    architecture: dict[str, Any],
    recipe: dict[str, Any],
    *,
    precision: str | None = None,
    accelerator: str = "auto",
    start: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The last checkpoint of a VAE of these items; goes on from the one in `out`, if there is one.

    `architecture` and `recipe` are the arguments of `models.VAE` and of `fit`, where others than
    these; `start` is a checkpoint whose averaged weights the run begins at.
    """
    description = {
        "architecture": {
            "variational": True,
            "x_shape": list(data.x_shape),
            "likelihood": "gaussian",
            "images": data.kind == "image",
            "prior": "normal",
            **architecture,
        },
        "recipe": {"beta": 1.0, "noise": 0.0, **recipe},
        "data": data.facts(),
        "samples": data.test[:8].clone(),
    }
    out.mkdir(parents=True, exist_ok=True)
    engine = fabric(out, "csv", precision, accelerator)
    engine.launch()
    engine.seed_everything(recipe["seed"], verbose=False)
    last = out / "last.pt"
    return fit(
        engine,
        checkpoint.build(description["architecture"]),
        data,
        out,
        description=description,
        **description["recipe"],
        start=start,
        resume=checkpoint.read(last) if last.is_file() else None,
    )
