"""Train a model that an experiment describes, as the command line would."""

from pathlib import Path
from typing import Any

from train.data.dataset import Data
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
