"""Draws what a score's heat maps show: test images, untouched and damaged.

    python benchmarks/heatmaps.py [FOLDER_OF_FASHION_MNIST]

Left of each pair the image, right where the shipped model is surprised. Each line has an untouched
image, and the same image with a hole, a stain or a scratch.
"""

import sys
from pathlib import Path

import numpy as np

import edgevae
from edgevae import files
from edgevae.plots import draw_heatmaps
from train.data.dataset import as_float
from train.data.datasets import fashion

OUT = Path(__file__).parent / "results" / "score" / "heatmaps.png"
ITEMS = (0, 1, 4)  # of the test set


def damaged(image: np.ndarray, how: str) -> np.ndarray:
    spoilt = image.copy()
    if how == "hole":
        spoilt[0, 17:21, 12:16] = 0
    elif how == "stain":
        spoilt[0, 14:18, 11:15] *= 0.35
    else:
        for step in range(14):
            spoilt[0, 7 + step, 7 + step] = 1 - spoilt[0, 7 + step, 7 + step]
    return spoilt


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    images = as_float(fashion(folder).test[list(ITEMS)]).numpy()
    spoilt = [damaged(x, how) for x, how in zip(images, ("hole", "stain", "scratch"), strict=True)]
    x = np.stack([images, np.stack(spoilt)], axis=1).reshape(-1, *images.shape[1:])
    parts = edgevae.load("fashion").score(x, "recon").parts
    maps = draw_heatmaps(x, parts, (0.0, 1.0))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    sheet = files.layout(len(maps), maps.shape[1:], columns=2, scale=1)
    files.write_sheet(str(OUT), [maps], sheet, (0.0, 1.0))


if __name__ == "__main__":
    main()
