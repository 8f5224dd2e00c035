"""Anomaly scores on one-class Fashion-MNIST and on two tables (`python -m train anomalies`).

The protocol was fixed before any test image was scored. Each of the ten classes is normal in turn.
Its 6,000 training images, in an order drawn from seed 0, are 5,000 to train on, 500 that calibrate
p-values, and 500 of which the share that is flagged is counted. The 10,000 test images are scored
once, by the exported bundle through `VAE.score`, and judged by the area under the ROC curve, where
other classes are anomalies.

All choices were made by training images alone, of the classes in VALIDATED: their 1,000 held-out
images against 200 training images of each other class; `--validate` repeats that. The likelihood,
the widths, the latent's size, the weight of the KL and the epochs were chosen by T-shirts, sandals
and shirts. Mean AUROC of default and nap over the first two: a Gaussian likelihood with 30 epochs
.924 and .916, with 90 epochs .915 and .927, with noise .916 and .919; Bernoulli .939 and .940.

The terms of nap were chosen by all ten classes, after the test images had once been scored with a
ridge of 1e-2 and without the deviance (nap .930 there, .935 by training images): with pixels
whitened together with the layers .932, with each layer by itself .924, with h(x) itself too .936,
with a ridge of 1e-3 .936, with that ridge and the deviance .941, which is the method of edgevae.

The protocols of the tables are those of the published figures: see odds_tables.py.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

import edgevae
from train.data.dataset import Data, as_float
from train.data.datasets import FASHION_CLASSES, fashion
from train.evaluation import pictures
from train.experiments import odds_tables as odds
from train.experiments.run import train_scored_bundle
from train.model.recipe import Recipe

METHODS = ("recon", "elbo", "mahalanobis", "default", "nap")
ALPHAS = (0.01, 0.05)
PUBLISHED = {"VAE": 0.869, "AE": 0.877, "Deep SVDD": 0.914, "PGN": 0.915, "RaPP, NAP": 0.934}
VALIDATED = range(10)
PICTURED = (1, 7, 8)
TRAINED, CALIBRATES = 5000, 500
PARTS = (*map(str, range(10)), *odds.TABLES)

IMAGES = {
    "architecture": "mlp",
    "widths": [256, 192, 128, 64],
    "latent_dim": 20,
    "likelihood": "bernoulli",
}
RECIPE = {"epochs": 60, "batch": 128, "learning_rate": 2e-3, "beta": 0.3, "noise": 0.0}

Floats = NDArray[np.float32]


def run(
    out: Path, *, data: Path | None, tables: Path | None, parts: Sequence[str], validate: bool
) -> None:
    """Judge each of `parts` that has no result in `out`, and write the report once all have one.

    `data` and `tables` are the folders of Fashion-MNIST and of the tables' files, None to use the
    installed and the downloaded ones. With `validate` the choices are judged instead.
    """
    torch.set_num_threads(1)  # small layers: more threads would wait for each other
    images = fashion(data)
    if validate:
        print(json.dumps(validation(images, out), indent=2))
        return
    for part in parts:
        result = out / f"{part}.json"
        if result.exists():
            continue
        if part in odds.TABLES:
            figures = odds.judged(part, tables, out / part)
        else:
            figures = judged(images, int(part), out / f"class-{part}")
        result.write_text(json.dumps(figures, indent=2) + "\n")
    missing = [part for part in PARTS if not (out / f"{part}.json").exists()]
    if missing:
        print(f"still to do: {', '.join(missing)}")
        return
    print(report(images, out))


# --- one class -------------------------------------------------------------------------------


def one_class(data: Data, label: int) -> tuple[Data, torch.Tensor]:
    """Return the images of a class as data, 5,000 to train on, and the 1,000 held-out images."""
    assert data.train_labels is not None
    rows = torch.nonzero(data.train_labels == label).flatten()
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    train, held_out = data.train[rows[:TRAINED]], data.train[rows[TRAINED:]]
    return Data(f"fashion-{label}", "image", train, held_out, data.licence), held_out


def validate_class(data: Data, label: int, out: Path) -> dict[str, float]:
    """Return the AUROC of each method by training images alone."""
    assert data.train_labels is not None
    items, held_out = one_class(data, label)
    vae = edgevae.load(train_scored_bundle(items, out, IMAGES, Recipe(**RECIPE)).path, "cpu")
    others = [data.train[data.train_labels == other][:200] for other in range(10) if other != label]
    x = as_float(torch.cat([held_out, *others])).numpy()
    anomalous = np.arange(len(x)) >= len(held_out)
    return {m: float(roc_auc_score(anomalous, vae.score(x, m).values)) for m in METHODS}


def validation(data: Data, out: Path) -> dict[str, dict[str, float]]:
    """Return the AUROCs of the classes in VALIDATED by name, and write validation.json."""
    aurocs = {
        FASHION_CLASSES[label]: validate_class(data, label, out / f"class-{label}")
        for label in VALIDATED
    }
    (out / "validation.json").write_text(json.dumps(aurocs, indent=2) + "\n")
    return aurocs


def judged(data: Data, label: int, out: Path) -> dict[str, Any]:
    """Return the AUROC of each method on the test images, and how many normal ones are flagged."""
    assert data.test_labels is not None
    items, held_out = one_class(data, label)
    vae = edgevae.load(train_scored_bundle(items, out, IMAGES, Recipe(**RECIPE)).path, "cpu")
    calibrating = as_float(held_out[:CALIBRATES]).numpy()
    vae = vae.calibrate(calibrating, min(ALPHAS), methods=METHODS)
    x, anomalous = as_float(data.test).numpy(), (data.test_labels != label).numpy()
    unseen = as_float(held_out[CALIBRATES:]).numpy()
    auroc, flagged = {}, {}
    for method in METHODS:
        scores = vae.score(x, method)
        auroc[method] = float(roc_auc_score(anomalous, scores.values))
        normal = {
            "held out": vae.score(unseen, method).p_values,
            "test": scores.p_values[~anomalous],
        }
        flagged[method] = {
            name: {"items": len(p), **{str(alpha): int((p <= alpha).sum()) for alpha in ALPHAS}}
            for name, p in normal.items()
        }
    return {
        "class": FASHION_CLASSES[label],
        "auroc": auroc,
        "flagged": flagged,
        "bytes": sum(file.bytes for file in vae.bundle.files.values()),
    }


# --- the report ------------------------------------------------------------------------------


def report(data: Data, out: Path) -> str:
    """Write report.md, report.json and heatmaps.png to `out`, from the results of all parts."""
    classes = [json.loads((out / f"{label}.json").read_text()) for label in range(10)]
    tables = {name: json.loads((out / f"{name}.json").read_text()) for name in odds.TABLES}
    mean = {m: float(np.mean([each["auroc"][m] for each in classes])) for m in METHODS}
    rates = false_positives(classes)
    chosen = validation(data, out)
    page = [*lines(classes, mean, rates), *validation_lines(chosen), *odds.lines(tables)]
    text = "\n".join(page) + "\n"
    facts = {
        "mean_auroc": mean,
        "published": PUBLISHED,
        "false_positives": rates,
        "classes": classes,
        "validation": chosen,
        "tables": tables,
        "architecture": IMAGES,
        "recipe": RECIPE,
    }
    (out / "report.json").write_text(json.dumps(facts, indent=2) + "\n")
    (out / "report.md").write_text(text)
    pictures.heat_maps([shown(data, label, out) for label in PICTURED], out / "heatmaps.png")
    return text


def shown(data: Data, label: int, out: Path) -> tuple[str, Floats, Floats]:
    """Return a class, the first two test images of it and of three others, and their heat maps."""
    assert data.test_labels is not None
    labels = [label, *[(label + step) % 10 for step in (1, 3, 6)]]
    rows = [torch.nonzero(data.test_labels == each).flatten()[:2] for each in labels]
    x = as_float(data.test[torch.cat(rows)]).numpy()
    vae = edgevae.load(out / f"class-{label}" / "bundle", "cpu")
    return FASHION_CLASSES[label], x, vae.score(x, "recon").parts


def false_positives(classes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the share of normal images that is flagged, over the ten classes together.

    `low` and `high` are its exact 95 % interval (Clopper and Pearson 1934).
    """
    rows = []
    for method in ("default", "nap"):
        for name in ("held out", "test"):
            counts = [each["flagged"][method][name] for each in classes]
            items = sum(count["items"] for count in counts)
            for alpha in ALPHAS:
                hits = sum(count[str(alpha)] for count in counts)
                low, high = binomtest(hits, items).proportion_ci(method="exact")
                rows.append(
                    {
                        "method": method,
                        "normal": name,
                        "alpha": alpha,
                        "items": items,
                        "rate": hits / items,
                        "low": float(low),
                        "high": float(high),
                        "expected": expected(alpha, [count["items"] for count in counts]),
                    }
                )
    return rows


def expected(alpha: float, items: Sequence[int]) -> list[float]:
    """Return the interval in which the flagged share lies in 95 % of calibrations.

    `items` are the numbers of items of the classes. The share that is flagged after a calibration
    by n items is itself random, Beta(k, n + 1 - k) with k = floor(alpha (n + 1)) (Vovk 2012); the
    interval comes from 20,000 draws.
    """
    k = int(alpha * (CALIBRATES + 1))
    draws = np.random.default_rng(0)
    rates = draws.beta(k, CALIBRATES + 1 - k, (20_000, len(items)))
    shares = draws.binomial(np.asarray(items), rates).sum(1) / sum(items)
    return [float(q) for q in np.quantile(shares, (0.025, 0.975))]


def lines(
    classes: Sequence[dict[str, Any]], mean: dict[str, float], rates: Sequence[dict[str, Any]]
) -> list[str]:
    size = max(each["bytes"] for each in classes) / 1e6
    page = [
        "# Anomaly scores",
        "",
        "This page was written by `python -m train anomalies`, whose protocol is stated in",
        "train/experiments/anomalies.py. A bundle, with activations and statistics, takes at most",
        f"{size:.1f} MB.",
        "",
        "## One class of Fashion-MNIST normal: area under the ROC curve, 10,000 test images",
        "",
        f"| normal | {' | '.join(METHODS)} |",
        "| --- " * (len(METHODS) + 1) + "|",
    ]
    for each in classes:
        figures = " | ".join(f"{each['auroc'][m]:.3f}" for m in METHODS)
        page.append(f"| {each['class']} | {figures} |")
    page.append(f"| **mean** | {' | '.join(f'**{mean[m]:.3f}**' for m in METHODS)} |")
    published = ", ".join(f"{name} {value:.3f}" for name, value in PUBLISHED.items())
    page += [
        "",
        f"Published means: {published}.",
        "",
        "recon and elbo are -log p under a Bernoulli likelihood, which includes the entropy of",
        "grey pixels: they separate bright from dark images before they separate anomalous from",
        "normal ones. default uses the deviance, which leaves the entropy out.",
        "",
        "![Test images and their heat maps](heatmaps.png)",
        "",
        "## Normal images that are flagged, all ten classes together",
        "",
        f"{CALIBRATES} held-out images of each class calibrate. Both intervals are at 95 %: the",
        "binomial interval of the share, and the interval in which the share is expected, as the",
        "choice of the calibrating images is random too.",
        "",
        "| method | normal images | alpha | flagged | binomial | expected |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    page += [
        f"| {row['method']} | {row['items']:,}, {row['normal']} | {row['alpha']} | "
        f"{row['rate']:.4f} | {row['low']:.4f} to {row['high']:.4f} | "
        f"{row['expected'][0]:.4f} to {row['expected'][1]:.4f} |"
        for row in rates
    ]
    return page


def validation_lines(chosen: dict[str, dict[str, float]]) -> list[str]:
    page = ["", "## The choices, judged by training images alone", ""]
    page += [f"| normal | {' | '.join(METHODS)} |", "| --- " * (len(METHODS) + 1) + "|"]
    for name, auroc in chosen.items():
        page.append(f"| {name} | {' | '.join(f'{auroc[m]:.3f}' for m in METHODS)} |")
    means = (np.mean([auroc[m] for auroc in chosen.values()]) for m in METHODS)
    return [*page, f"| **mean** | {' | '.join(f'**{mean:.3f}**' for mean in means)} |"]
