"""Measure how often classifiers see the requested class in images of a conditional bundle.

    PYTHONPATH=. python benchmarks/bench_classes.py runs/fashion-cond-bundle \\
        --judges runs/judges --out benchmarks/results/fashion-cond

The two judges of `python -m train evaluate`, which are trained on the labelled training images
alone, classify generated images, reconstructions with the right label, and test images.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import edgevae
from edgevae import files
from train.data.dataset import as_float
from train.data.datasets import fashion
from train.evaluation import judges

EACH = 200  # generated images of each class
COLUMNS = 12


@torch.inference_mode()
def classify(judge: judges.Judge, x: np.ndarray) -> np.ndarray:
    """Return the class that a judge assigns to each image (N, C, H, W) in [0, 1]."""
    parts = torch.from_numpy(np.ascontiguousarray(x)).to(judges.DEVICE).split(1000)
    return torch.cat([judge.model(part).argmax(1) for part in parts]).cpu().numpy()


def accuracies(predicted: np.ndarray, labels: np.ndarray, classes: int) -> list[float]:
    """Return the share of each class's images that is classified as that class."""
    return [float((predicted[labels == k] == k).mean()) for k in range(classes)]


def table(report: dict) -> str:
    """Return the report's figures as a table."""
    sets = [*report["shares"]]
    lines = [
        f"The share of images that each judge assigns to their class, in %: of {EACH} generated "
        f"images of each class (seed 3), of the {report['test']:,} test images reconstructed with "
        f"their labels, and of the test images themselves.",
        "",
        "| class | " + " | ".join(sets) + " |",
        "| --- |" + " ---: |" * len(sets),
    ]
    for k, name in enumerate([*report["classes"], "mean"]):
        values = (report["shares"][key] for key in sets)
        cells = (np.mean(v) if name == "mean" else v[k] for v in values)
        lines.append(f"| {name} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--judges", type=Path, default=Path("runs/judges"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    vae, data = edgevae.load(options.bundle, "cpu"), fashion()
    classes = vae.bundle.classes
    labels = np.repeat(np.arange(len(classes)), EACH)
    x, y = as_float(data.test).numpy(), data.test_labels.long().numpy()
    sets = {
        "generated": (vae.generate(len(labels), seed=3, labels=labels), labels),
        "reconstructed": (vae.reconstruct(x, labels=y), y),
        "real": (x, y),
    }
    figures = {
        f"{name}, {judge.name}": accuracies(classify(judge, images), truth, len(classes))
        for name, (images, truth) in sets.items()
        for judge in judges.judges(data, options.judges)
    }
    recipe = {k: v for k, v in vae.bundle.provenance.items() if not k.endswith("_producer")}
    report = {"classes": list(classes), "test": len(x), "shares": figures, "provenance": recipe}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "classes.json").write_text(json.dumps(report, indent=2) + "\n")
    page = [f"# {vae.bundle.name}", __doc__.strip(), table(report), "![ten rows](classes.png)"]
    (options.out / "classes.md").write_text("\n\n".join(page) + "\n")
    rows = np.repeat(np.arange(len(classes)), COLUMNS)
    results = files.Results(
        [vae.generate(len(rows), seed=7, labels=rows)], len(rows), vae.bundle.data, columns=COLUMNS
    )
    files.save(str(options.out / "classes.png"), "sheet", results)
    print(table(report))


if __name__ == "__main__":
    main()
