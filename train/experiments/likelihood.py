"""`python -m train benchmark`: log-likelihood beside published figures, on binarised Fashion-MNIST.

The protocol of Tomczak and Welling (2018) and Norouzi et al. (2020, "Exemplar VAE", table 1): of
the 60,000 training images the first 50,000 train, each pixel drawn anew from Bernoulli(x)
whenever its image is seen, and the last 10,000 choose what was to be chosen; the 10,000 test
images are binarised once. The figure is -log p(x) in nats an image, bounded from above by the
importance-weighted estimate of S samples (Burda et al. 2016), under the bundle's own prior and by
its own graphs.
"""

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
from train.experiments.run import fitted
from train.export.export import export
from train.model import checkpoint
from train.stages import mixture

TRAINING = 50_000
TEST_SEED = 777  # that of the authors' code, which so has the very same test images


def run(
    out: Path, *, models: Sequence[str], seeds: int, epochs: int | None, samples: int, items: int
) -> None:
    """Train the models that are not trained yet, judge all, and write the report after each run.

    `epochs` replaces the epochs of each stage, for a trial; `samples` is S of the bound, which is
    computed for the first `items` test images.
    """
    data, test = parted(fashion()), binarised(fashion())[:items]
    rows: list[dict[str, Any]] = []
    for seed, name in itertools.product(range(seeds), models):
        folder = out / f"{name}-{seed}"
        content = train(MODELS[name], data, folder, seed, epochs)
        vae = edgevae.load(export(content, folder / "bundle").path)
        kept = folder / f"nats-{digest(content)}-{samples}-{len(test)}.npy"
        nats = bound(vae, test, samples, kept)
        rows.append({"model": name, "seed": seed, "nats": nats} | facts(content, vae))
        report.write(out, rows, samples)
        picture(vae, test, out / f"{name}.png")


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
