"""Draw pictures of a bundle: grids, interpolations, denoising, the latent space."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import edgevae
from edgevae import packing, sampling
from edgevae.plots import draw_scatter

Floats = NDArray[np.float32]
GAP = 12  # pixels between the blocks of a picture
SCALE = 2


def block(x: Floats, columns: int) -> NDArray[np.uint8]:
    """Return images (N, C, H, W) as one, uint8 (H', W', C), in rows of `columns`, filled white."""
    missing = np.ones((-len(x) % columns, *x.shape[1:]), np.float32)
    tiles = packing.pack(np.concatenate([x, missing]))
    _, height, width, channels = tiles.shape
    rows = tiles.reshape(-1, columns, height, width, channels)
    return rows.swapaxes(1, 2).reshape(-1, columns * width, channels)


def save(blocks: list[NDArray[np.uint8]], path: Path) -> None:
    """Save blocks of one height from left to right, on white."""
    height, _, channels = blocks[0].shape
    gap = np.full((height, GAP, channels), 255, np.uint8)
    parts = [part for each in blocks for part in (each, gap)][:-1]
    picture = np.concatenate(parts, axis=1)
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    size = (image.width * SCALE, image.height * SCALE)
    image.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


def grids(vae: edgevae.VAE, x: Floats, path: Path) -> None:
    """Save real, reconstructed and generated images, up to 64 each."""
    x = x[:64]
    sets = (x, vae.reconstruct(x), vae.generate(len(x), seed=7))
    save([block(part, 8) for part in sets], path)


def interpolations(vae: edgevae.VAE, x: Floats, path: Path) -> None:
    """Save eight straight lines between the latents of two test images, twelve steps each."""
    paths = [vae.interpolate(x[i], x[(i + 8) % len(x)], 12) for i in range(min(8, len(x)))]
    save([block(np.concatenate(paths), 12)], path)


def variations(vae: edgevae.VAE, x: Floats, path: Path) -> None:
    """Save eight images, their reconstructions, and five variations each of strength 1, 2 and 3."""
    x = x[:8]
    pairs = np.stack([x, vae.reconstruct(x)], axis=1).reshape(-1, *x.shape[1:])
    varied = [vae.vary(x, 5, strength, seed=1).reshape(-1, *x.shape[1:]) for strength in (1, 2, 3)]
    save([block(pairs, 2), *(block(each, 5) for each in varied)], path)


def denoising(vae: edgevae.VAE, x: Floats, path: Path) -> None:
    """Save clean, noisy and denoised images, with noise of sigma 0.3."""
    x = x[:32]
    eps = sampling.normal(len(x), x[0].size, seed=2, purpose=sampling.CORRUPTION)
    noisy = x + np.float32(0.3) * eps.reshape(x.shape)
    cleaned = vae.denoise(noisy) if vae.bundle.noise else vae.reconstruct(noisy)
    save([block(part, 8) for part in (x, noisy, cleaned)], path)


def latents(vae: edgevae.VAE, x: Floats, labels: Tensor | None, path: Path) -> None:
    """Save the posterior means by class, in the plane of their first two principal components."""
    names = None if labels is None else labels[: len(x)].numpy()
    draw_scatter(vae.encode(x).mu, names, vae.bundle.name).savefig(path, dpi=110)


def heat_maps(sets: list[tuple[str, Floats, Floats]], path: Path) -> None:
    """Save images of each class, two normal and then anomalous ones, above their heat maps.

    A set is the name of a class, images (N, 1, H, W) in [0, 1], the first two normal, and nats
    (N, 1, H, W). The colours of a set end at the 99.9th percentile of its nats.
    """
    count = max(len(x) for _, x, _ in sets)
    figure = Figure(figsize=(count, 2.1 * len(sets)), layout="constrained")
    axes = figure.subplots(2 * len(sets), count)
    for row, (name, x, nats) in enumerate(sets):
        worst = np.quantile(nats, 0.999)
        for column, (image, heat) in enumerate(zip(x[:, 0], nats[:, 0], strict=True)):
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.imshow(image, cmap="gray", vmin=0, vmax=1)
            below.imshow(heat, cmap="inferno", vmin=0, vmax=worst)
            above.set_title("normal" if column < 2 else "anomaly", fontsize=7)
            for axis in (above, below):
                axis.set_xticks([])
                axis.set_yticks([])
        axes[2 * row, 0].set_ylabel(name, fontsize=7)
        axes[2 * row + 1, 0].set_ylabel("nats", fontsize=7)
    figure.savefig(path, dpi=90)
