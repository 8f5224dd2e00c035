"""Draw the heat maps of scores of test images, intact and damaged.

    python benchmarks/heatmaps.py [FOLDER_OF_FASHION_MNIST]

The left image of each pair is the input, the right one the heat map of the shipped model. Each row
has an intact image, and the same image with a hole, a stain or a scratch.
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


def damaged(image: np.ndarray, damage: str) -> np.ndarray:
    """Return the image with a "hole", a "stain" or a "scratch"."""
    result = image.copy()
    if damage == "hole":
        result[0, 17:21, 12:16] = 0
    elif damage == "stain":
        result[0, 14:18, 11:15] *= 0.35
    else:
        for step in range(14):
            result[0, 7 + step, 7 + step] = 1 - result[0, 7 + step, 7 + step]
    return result


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    images = as_float(fashion(folder).test[list(ITEMS)]).numpy()
    kinds = ("hole", "stain", "scratch")
    broken = [damaged(x, damage) for x, damage in zip(images, kinds, strict=True)]
    x = np.stack([images, np.stack(broken)], axis=1).reshape(-1, *images.shape[1:])
    parts = edgevae.load("fashion").score(x, "recon").parts
    maps = draw_heatmaps(x, parts, (0.0, 1.0))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    sheet = files.layout(len(maps), maps.shape[1:], columns=2, scale=1)
    files.write_sheet(str(OUT), [maps], sheet, (0.0, 1.0))


if __name__ == "__main__":
    main()
