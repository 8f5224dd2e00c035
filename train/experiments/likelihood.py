"""`python -m train benchmark`: log-likelihood beside published figures, on binarised Fashion-MNIST.

The protocol of Tomczak and Welling (2018) and Norouzi et al. (2020, "Exemplar VAE", table 1): of
the 60,000 training images the first 50,000 train, each pixel drawn anew from Bernoulli(x)
whenever its image is seen, and the last 10,000 choose what was to be chosen; the 10,000 test
images are binarised once. The figure is -log p(x) in nats an image, bounded from above by the
importance-weighted estimate of S samples (Burda et al. 2016), under the bundle's own prior and by
its own graphs.
"""

import argparse
import hashlib
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import edgevae
from train.data.datasets import Data, as_float, fashion
from train.evaluation import pictures
from train.experiments import likelihood_report as benchmark_report
from train.experiments.run import fitted
from train.export.export import export
from train.model import checkpoint
from train.stages import mixture

TRAINING = 50_000
TEST_SEED = 777  # that of the authors' code, which so has the very same test images


class Model(NamedTuple):
    """A row of the table: its architecture, its recipe, and the published figure it answers to.

    Of more than one stage each begins with the averaged weights of the one before.
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
        "residual convolutions, a learned mixture of 500, at last with five draws a step",
    ),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--out", type=Path, default=Path("runs/benchmark"), help="checkpoints, bundles, report")
    add("--models", nargs="+", choices=MODELS, default=list(MODELS))
    add("--seeds", type=int, default=3, help="runs of each model")
    add("--epochs", type=int, help="instead of each model's own, for a trial")
    add("--samples", type=int, default=500, help="S of the bound")
    add("--items", type=int, default=10_000, help="test images of the bound, the first ones")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains what is not trained yet, judges all, and writes the report after each run."""
    data, test = parted(fashion()), binarised(fashion())[: options.items]
    rows: list[dict[str, Any]] = []
    for seed, name in itertools.product(range(options.seeds), options.models):
        out = options.out / f"{name}-{seed}"
        content = train(MODELS[name], data, out, seed, options.epochs)
        vae = edgevae.load(export(content, out / "bundle").path)
        kept = out / f"nats-{digest(content)}-{options.samples}-{len(test)}.npy"
        nats = bound(vae, test, options.samples, kept)
        rows.append({"model": name, "seed": seed, "nats": nats} | facts(content, vae))
        benchmark_report.write(options.out, rows, MODELS, options.samples)
        picture(vae, test, options.out / f"{name}.png")


def parted(data: Data) -> Data:
    """The images that train, and as `test` those that choose: test images are not looked at."""
    train, validation = data.train[:TRAINING], data.train[TRAINING:]
    return Data(data.name, data.kind, train, validation, data.licence)


def train(model: Model, data: Data, out: Path, seed: int, epochs: int | None) -> dict[str, Any]:
    """The checkpoint of a finished run: that which is in `out`, or goes on from it."""
    stages = [stage | {"epochs": epochs or stage["epochs"]} for stage in model.stages]
    content = None
    for number, recipe in enumerate(stages, start=1):
        content = train_stage(model, recipe, data, out / f"stage-{number}", seed, content)
    assert content is not None
    table = mixture.drawn_from(
        checkpoint.averaged(content), data, model.architecture["prior"], 0, seed
    )
    return content | {
        "prior": table and checkpoint.prior_tensors(table),
        "epochs": sum(stage["epochs"] for stage in stages),
    }


def train_stage(
    model: Model,
    recipe: dict[str, Any],
    data: Data,
    out: Path,
    seed: int,
    start: dict[str, Any] | None,
) -> dict[str, Any]:
    """The last checkpoint of a stage that begins where `start` ended."""
    if start and model.architecture["prior"] == "free" and not (out / "last.pt").is_file():
        start = refitted(start, data, seed)
    architecture = {"likelihood": "bernoulli", **model.architecture}
    recipe = recipe | {"seed": seed, "binarise": True}
    content = fitted(data, out, architecture, recipe, start=start)
    return content | {"seconds": content["seconds"] + (start["seconds"] if start else 0)}


def refitted(content: dict[str, Any], data: Data, seed: int) -> dict[str, Any]:
    """The checkpoint with its learned mixture fitted anew, by expectation maximisation.

    Of components that began at random most lose their weight: 58 of 500 held 99 % of it.
    """
    model = checkpoint.averaged(content)
    torch.manual_seed(seed)
    items = (255 * torch.bernoulli(as_float(data.train))).to(torch.uint8)
    components = content["architecture"]["components"]
    model.prior.become(mixture.fit_mixture(model, items, components, seed))
    return content | {"ema": model.state_dict()}


def digest(content: dict[str, Any]) -> str:
    """Of a checkpoint's averaged weights, by which what was computed of them is known again."""
    whole = hashlib.sha256()
    for part in content["ema"].values():
        whole.update(part.numpy().tobytes())
    return whole.hexdigest()[:12]


def bound(
    vae: edgevae.VAE, test: NDArray[np.float32], samples: int, kept: Path
) -> NDArray[np.float64]:
    """-log p(x) at most of each test image, in nats: (N,), from `kept` if they are there."""
    if not kept.is_file():
        np.save(kept, vae.score(test, "iwae", draws=samples).values)
    nats: NDArray[np.float64] = np.load(kept)
    return nats


def facts(content: dict[str, Any], vae: edgevae.VAE) -> dict[str, Any]:
    return {
        "epochs": content["epochs"],
        "parameters": vae.bundle.provenance["parameters"],
        "training_seconds": round(content["seconds"]),
    }


def picture(vae: edgevae.VAE, test: NDArray[np.float32], path: Path) -> None:
    """Binarised test images, their means, and means of draws from the prior, 32 each."""
    sets = test[:32], vae.reconstruct(test[:32]), vae.generate(32, seed=7)
    pictures.save([pictures.block(part, 8) for part in sets], path)


def binarised(data: Data) -> NDArray[np.float32]:
    """The test images, each pixel drawn once from Bernoulli(x), after those that choose.

    So the same draws as in the published figures' code.
    """
    numbers = np.random.RandomState(TEST_SEED)
    _, drawn = (
        numbers.binomial(1, images.numpy() / 255) for images in (data.train[TRAINING:], data.test)
    )
    return np.asarray(drawn, np.float32)
