"""The models of `python -m train benchmark`: two published baselines and one of this project."""

from typing import Any, NamedTuple


class Model(NamedTuple):
    """A row of the table: its architecture, its recipes, and the published figure beside it.

    Each of the `stages` is a recipe, and begins with the averaged weights of the stage before.
    """

    architecture: dict[str, Any]
    stages: tuple[dict[str, Any], ...]
    published: float | None
    about: str


GATED = {"architecture": "gated", "widths": [300, 300], "latent_dim": 40}
PLAIN = {"epochs": 200, "beta_warmup": 60, "batch": 100, "learning_rate": 1e-3}
MODELS = {
    "vae": Model(GATED | {"prior": "normal"}, (PLAIN,), 228.70, "gated MLP, N(0, I)"),
    "vamp": Model(
        GATED | {"prior": "vamp", "components": 500},
        (PLAIN,),
        227.35,
        "gated MLP, VampPrior of 500",
    ),
    "edgevae": Model(
        {
            "architecture": "residual",
            "widths": [8, 32, 64],
            "latent_dim": 40,
            "prior": "free",
            "components": 500,
        },
        (
            {"epochs": 60, "beta_warmup": 15, "batch": 128, "learning_rate": 2e-3},
            {"epochs": 10, "beta_warmup": 0, "batch": 128, "learning_rate": 5e-4, "draws": 5},
        ),
        None,
        "residual convolutions, a learned mixture of 500, finished with five draws a step",
    ),
}
