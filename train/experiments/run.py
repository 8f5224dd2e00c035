"""Train and export a model that an experiment describes, as the command line would."""

from pathlib import Path
from typing import Any

from edgevae import bundle
from train.data.dataset import Data
from train.export.export import export
from train.export.scores import with_statistics
from train.model.checkpoint import Checkpoint
from train.model.recipe import Recipe
from train.stages.fit import Fit
from train.stages.loop import begin, make_fabric


def train_model(
    data: Data,
    out: Path,
    architecture: dict[str, Any],
    recipe: Recipe,
    *,
    precision: str | None = None,
    accelerator: str = "auto",
    start: Checkpoint | None = None,
) -> Checkpoint:
    """Return the checkpoint of a VAE after its first stage; go on from the one in `out`, if any.

    `architecture` holds the arguments of `models.build` that differ from those of a Gaussian VAE
    under N(0, I). The run begins with the averaged weights of `start`.
    """
    wanted = Checkpoint(
        architecture={
            "variational": True,
            "x_shape": list(data.x_shape),
            "likelihood": "gaussian",
            "images": data.drawable,
            "prior": "normal",
            **architecture,
        },
        recipe=recipe,
        data=data.facts(),
        samples=data.test[:8].clone(),
    )
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.pt"
    resumed = Checkpoint.from_file(last) if last.is_file() else None
    run = begin(make_fabric(out, "csv", precision, accelerator), wanted, data, out, resumed)
    Fit(start=start).run(run)
    return run.checkpoint


def train_scored_bundle(
    data: Data, out: Path, architecture: dict[str, Any], recipe: Recipe
) -> bundle.Bundle:
    """Return the bundle of a VAE of these items, with activations and the statistics of scores.

    A bundle that is in `out` already is returned as it is.
    """
    if (out / "bundle").exists():
        return bundle.read(out / "bundle")
    checkpoint = train_model(
        data, out, architecture, recipe, precision="32-true", accelerator="cpu"
    )
    checkpoint.has_prior = True  # N(0, I)
    written = export(checkpoint, out / "bundle", activations=True)
    return with_statistics(written, data)
