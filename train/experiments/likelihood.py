"""Log-likelihoods beside published ones, on binarised Fashion-MNIST (`python -m train benchmark`).

The protocol is that of Tomczak and Welling (2018) and Norouzi et al. (2020, "Exemplar VAE", table
1). Of the 60,000 training images the first 50,000 train, each pixel drawn from Bernoulli(x)
whenever its image is used; all choices were made by the last 10,000. The 10,000 test images are
binarised once. The figure is -log p(x) in nats an image, bounded from above by the
importance-weighted estimate of S samples (Burda et al. 2016), under the bundle's own prior and
computed by its own graphs.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import edgevae
from train.data.dataset import Data, as_float
from train.data.datasets import fashion
from train.evaluation import pictures
from train.experiments import likelihood_report as report
from train.experiments.likelihood_models import MODELS, Model
from train.experiments.run import train_model
from train.export.export import export
from train.model.checkpoint import Checkpoint
from train.model.recipe import Recipe
from train.stages import mixture

TRAINING = 50_000
TEST_SEED = 777  # that of the authors' code, so that the test images are the same


def run(
    out: Path, *, models: Sequence[str], seeds: int, epochs: int | None, samples: int, items: int
) -> None:
    """Train the models that are not trained yet, judge all, and write the report after each run.

    `epochs` replaces the epochs of each stage, for a trial; `samples` is S of the bound, which is
    computed for the first `items` test images.
    """
    data, test = split(fashion()), binarised(fashion())[:items]
    rows: list[dict[str, Any]] = []
    for seed, name in itertools.product(range(seeds), models):
        folder, model = out / f"{name}-{seed}", MODELS[name]
        checkpoint = train(model, data, folder, seed, epochs)
        vae = edgevae.load(export(checkpoint, folder / "bundle").path)
        kept = folder / f"nats-{digest(checkpoint)}-{samples}-{len(test)}.npy"
        nats = bound(vae, test, samples, kept)
        facts = facts_of(model, checkpoint, epochs)
        rows.append({"model": name, "seed": seed, "nats": nats} | facts)
        report.write(out, rows, samples)
        picture(vae, test, out / f"{name}.png")


def split(data: Data) -> Data:
    """Return the images that train and, as test items, those by which choices are made.

    The test images are not among them.
    """
    train, validation = data.train[:TRAINING], data.train[TRAINING:]
    return Data(data.name, data.kind, train, validation, data.licence)


def train(model: Model, data: Data, out: Path, seed: int, epochs: int | None) -> Checkpoint:
    """Return the checkpoint of a finished run, which goes on from the checkpoints in `out`.

    Its `seconds` are those of all stages.
    """
    checkpoint = None
    for number, settings in enumerate(model.stages, start=1):
        recipe = Recipe(**settings | {"epochs": epochs or settings["epochs"]}, seed=seed)
        folder = out / f"stage-{number}"
        checkpoint = train_stage(model, recipe, data, folder, checkpoint)
    assert checkpoint is not None
    prior = model.architecture["prior"]
    checkpoint.prior = mixture.generation_prior(checkpoint.averaged_model(), data, prior, 0, seed)
    checkpoint.has_prior = True
    return checkpoint


def train_stage(
    model: Model, recipe: Recipe, data: Data, out: Path, start: Checkpoint | None
) -> Checkpoint:
    """Return the last checkpoint of a stage that begins with the weights of `start`."""
    spent = 0.0 if start is None else start.seconds
    if start and model.architecture["prior"] == "free" and not (out / "last.pt").is_file():
        start = with_refitted_prior(start, data, recipe.seed)
    architecture = {"likelihood": "bernoulli", **model.architecture}
    recipe = dataclasses.replace(recipe, binarise=True)
    checkpoint = train_model(data, out, architecture, recipe, start=start)
    return dataclasses.replace(checkpoint, seconds=checkpoint.seconds + spent)


def with_refitted_prior(checkpoint: Checkpoint, data: Data, seed: int) -> Checkpoint:
    """Return the checkpoint with its learned mixture fitted again, by expectation maximisation.

    Most components that begin at random lose their weight: 58 of 500 held 99 % of it.
    """
    assert checkpoint.fit is not None
    model = checkpoint.averaged_model()
    torch.manual_seed(seed)
    items = (255 * torch.bernoulli(as_float(data.train))).to(torch.uint8)
    components = checkpoint.architecture["components"]
    z = mixture.sampled_posteriors(model, items, seed)
    model.prior.copy_from(mixture.fit_mixture(z, components, seed))
    parts = {**checkpoint.fit.parts, "ema": model.state_dict()}
    return dataclasses.replace(checkpoint, fit=dataclasses.replace(checkpoint.fit, parts=parts))


def digest(checkpoint: Checkpoint) -> str:
    """Return a hash of the averaged weights, which names the figures computed from them."""
    assert checkpoint.fit is not None
    sha256 = hashlib.sha256()
    for part in checkpoint.fit.parts["ema"].values():
        sha256.update(part.numpy().tobytes())
    return sha256.hexdigest()[:12]


def bound(
    vae: edgevae.VAE, test: NDArray[np.float32], samples: int, kept: Path
) -> NDArray[np.float64]:
    """Return the bound on -log p(x) of each test image, in nats (N,), kept in the file `kept`."""
    if not kept.is_file():
        np.save(kept, vae.score(test, "iwae", draws=samples).values)
    nats: NDArray[np.float64] = np.load(kept)
    return nats


def facts_of(model: Model, checkpoint: Checkpoint, epochs: int | None) -> dict[str, Any]:
    """Return what the report says of a run besides its figure."""
    return {
        "epochs": sum(epochs or stage["epochs"] for stage in model.stages),
        "parameters": sum(p.numel() for p in checkpoint.build().parameters()),
        "training_seconds": round(checkpoint.seconds),
    }


def picture(vae: edgevae.VAE, test: NDArray[np.float32], path: Path) -> None:
    """Save binarised test images, their means, and means of draws from the prior, 32 each."""
    sets = test[:32], vae.reconstruct(test[:32]), vae.generate(32, seed=7)
    pictures.save([pictures.block(part, 8) for part in sets], path)


def binarised(data: Data) -> NDArray[np.float32]:
    """Return the test images, each pixel drawn once from Bernoulli(x).

    The validation images are drawn before, so that the draws are those of the published code.
    """
    numbers = np.random.RandomState(TEST_SEED)
    _, drawn = (
        numbers.binomial(1, images.numpy() / 255) for images in (data.train[TRAINING:], data.test)
    )
    return np.asarray(drawn, np.float32)
