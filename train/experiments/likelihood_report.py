"""The report of `python -m train benchmark`: figures with their errors, beside published ones."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevae.diagnostics import bench
from train.evaluation.report import mean_and_error
from train.experiments.likelihood_models import MODELS, Model

# Norouzi et al. 2020, table 1, S = 5000; those named ConvHVAE have two levels of latents.
PUBLISHED = {
    "VAE": 228.70,
    "VAE with a VampPrior": 227.35,
    "Exemplar VAE": 226.75,
    "ConvHVAE": 225.38,
    "Exemplar ConvHVAE": 224.63,
}
Rows = list[dict[str, Any]]


def write(out: Path, rows: Rows, samples: int) -> None:
    """Write report.md and report.json of the runs so far; their `nats` are those of each image."""
    facts = {"samples": samples, "items": len(rows[0]["nats"]), "machine": bench.machine()}
    figures = [row | {"nats": mean_and_error(row["nats"])} for row in rows]
    (out / "report.json").write_text(json.dumps(facts | {"runs": figures}, indent=2) + "\n")
    (out / "report.md").write_text("\n".join(lines(rows, facts)) + "\n")


def lines(rows: Rows, facts: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# Log-likelihood of dynamically binarised Fashion-MNIST\n"
    yield (
        f"`python -m train benchmark`; S = {facts['samples']}, {facts['items']:,} test images; "
        f"{facts['machine']['cpu']}, {facts['machine']['threads']} threads. "
        "`train/experiments/likelihood.py` states the protocol. Lower is better; all models but "
        "the last two decode one latent in one pass."
    )
    yield "\n| model | -log p(x), nats | seeds | epochs | parameters | minutes | published |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    names = list(dict.fromkeys(row["model"] for row in rows))
    for name in names:
        yield row_of(name, [row for row in rows if row["model"] == name], MODELS[name])
    for name, nats in PUBLISHED.items():
        yield f"| {name} (Norouzi et al. 2020) | | | | | | {nats:.2f} |"
    yield (
        "\n± is the standard error over the test images, which are the same for every model; the "
        "standard deviation between seeds is in brackets. Minutes are those of one run's training. "
        "Differences are taken image by image, and have smaller errors than the means:\n"
    )
    yield "| difference | nats |\n| --- | --- |"
    for worse, better in itertools.pairwise(names):
        difference = mean_and_error(mean_nats(rows, better) - mean_nats(rows, worse))
        yield (
            f"| {better} less {worse} | {difference['mean']:+.2f} ± "
            f"{difference['standard_error']:.2f} |"
        )
    for name in names:
        yield f"\n![{name}]({name}.png)\n\n*{name}: binarised test images, their means, samples.*"


def row_of(name: str, runs: Rows, model: Model) -> str:
    """Return the line of a model in the table."""
    over_images = mean_and_error(np.mean([run["nats"] for run in runs], axis=0))
    figure = f"{over_images['mean']:.2f} ± {over_images['standard_error']:.2f}"
    if len(runs) > 1:
        figure += f" [{np.std([run['nats'].mean() for run in runs], ddof=1):.2f}]"
    published = f"{model.published:.2f}" if model.published else ""
    run = runs[0]
    minutes = np.mean([run["training_seconds"] for run in runs]) / 60
    return (
        f"| {name}: {model.about} | {figure} | {len(runs)} | {run['epochs']} | "
        f"{run['parameters']:,} | {minutes:.3g} | {published} |"
    )


def mean_nats(rows: Rows, model: str) -> NDArray[np.float64]:
    """Return the nats of each image, averaged over a model's seeds: (N,)."""
    mean: NDArray[np.float64] = np.mean(
        [row["nats"] for row in rows if row["model"] == model], axis=0
    )
    return mean
