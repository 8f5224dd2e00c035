"""The report of a bundle: what its latents, its prior and its pictures are worth.

Everything is computed by the bundle's own graphs through edgevae, as a device would.
"""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

import edgevae
from edgevae import sampling
from edgevae.data import likelihood
from edgevae.errors import InputError
from edgevae.plots import ACTIVE_VARIANCE
from train.data.dataset import Data, as_float
from train.evaluation import distances, pictures
from train.evaluation.judges import Judge, judges

Floats = NDArray[np.float32]
ROWS = 10_000  # items a set that is judged
NEIGHBOURS = 5  # k of precision, recall, density and coverage
DENOISE_SIGMAS = (0.1, 0.2, 0.3, 0.5)
MOST_DB = 60  # of an item's PSNR, lest those that come back as they were make the mean


def evaluate(
    path: Path,
    data: Data,
    out: Path,
    judge_folder: Path,
    draws: int = 100,
    iwae_items: int = 1000,
    precision: str = "float32",
) -> dict[str, Any]:
    """Judge the bundle at `path` on `data`; write report.json, report.md and pictures to `out`.

    Without labels there is no classifier, hence no distance in its features; vectors have neither
    those nor pictures. Raises InputError where the items are not of the bundle's shape, and for a
    conditional bundle, whose likelihood nothing here can tell: scores know no classes.
    """
    began = time.monotonic()
    vae = edgevae.load(path, precision=precision)
    if vae.bundle.classes:
        raise InputError(
            f"expected a bundle without classes, got {vae.bundle.name!r} of "
            f"{len(vae.bundle.classes)}: benchmarks/bench_classes.py judges what a conditional one "
            "makes"
        )
    if data.x_shape != vae.bundle.x_shape:
        raise InputError(
            f"expected items of shape {vae.bundle.x_shape}, those of bundle {vae.bundle.name!r}, "
            f"got {data.x_shape} in {data.name!r}: give --data what it was trained on"
        )
    test = as_float(data.test[:ROWS]).numpy()
    report: dict[str, Any] = {
        "bundle": vae.bundle.name,
        "precision": precision,
        "data": data.name,
        "test_items": len(test),
        "parameters": vae.bundle.provenance.get("parameters"),
        "bytes": sum(file.bytes for file in vae.bundle.files.values()),
        "likelihood": likelihood_report(vae, test, draws, iwae_items),
    }
    out.mkdir(parents=True, exist_ok=True)
    if data.drawable:
        report["denoising"] = denoising_report(vae, data, test)
        pictures.grids(vae, test, out / "grid.png")
        pictures.interpolations(vae, test, out / "interpolations.png")
        pictures.denoising(vae, test, out / "denoising.png")
        if vae.bundle.model == "vae":
            pictures.variations(vae, test, out / "variations.png")
    pictures.latents(vae, test, data.test_labels, out / "latents.png")
    if data.drawable and data.train_labels is not None:
        sets = judged_sets(vae, data)
        report["judges"] = [
            judge_report(judge, data, test, sets) for judge in judges(data, judge_folder)
        ]
    if data.drawable:
        report["copies"] = copies_report(data, test, vae.generate(len(test), seed=3))
    report["seconds"] = round(time.monotonic() - began)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "report.md").write_text(markdown(report))
    return report


# --- likelihood ------------------------------------------------------------------------------


def likelihood_report(vae: edgevae.VAE, x: Floats, draws: int, iwae_items: int) -> dict[str, Any]:
    """-ELBO at one z an item, the IWAE bound, how near x_hat is to x, active units.

    Standard errors are those of a mean over items. The bound is estimated on the first
    `iwae_items` alone, as it costs `draws` decodings an item.
    """
    posterior = vae.encode(x)
    x_hat = vae.decode(posterior.sample(seed=0))
    recon = likelihood.recon(x, x_hat, vae.bundle.likelihood)
    kl = posterior.kl()
    bounds = vae.score(x[:iwae_items], "iwae", draws=draws, seed=1).values
    active = int((posterior.mu.reshape(len(x), -1).var(0) > ACTIVE_VARIANCE).sum())
    return {
        "negative_elbo": mean_and_error(recon + kl),
        "recon": mean_and_error(recon),
        "kl": mean_and_error(kl),
        "negative_iwae": mean_and_error(bounds) | {"draws": draws, "items": len(bounds)},
        **reconstruction_report(vae, x),
        "active_units": active,
        "latent_dimensions": vae.bundle.dims,
    }


def reconstruction_report(vae: edgevae.VAE, x: Floats) -> dict[str, Any]:
    """PSNR of images; of vectors, whose units are their own, the share of variance explained."""
    x_hat = vae.reconstruct(x)
    if vae.bundle.data.drawable:
        return {"reconstruction_psnr_db": mean_and_error(peak_signal_to_noise(x, x_hat))}
    varies = x.std(0) > 0
    left = ((x - x_hat)[:, varies] / x.std(0)[varies]) ** 2
    return {"explained_variance": float(1 - left.mean())}


def peak_signal_to_noise(x: Floats, x_hat: Floats) -> NDArray[np.float64]:
    """10 log10(1 / mean squared error) of each item, for values in [0, 1]."""
    error = (x.astype(np.float64) - x_hat).reshape(len(x), -1)
    return -10 * np.log10((error**2).mean(1).clip(1e-12))


def mean_and_error(values: NDArray[np.floating[Any]]) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "standard_error": float(values.std(ddof=1) / math.sqrt(len(values))),
    }


# --- denoising -------------------------------------------------------------------------------


def denoising_report(vae: edgevae.VAE, data: Data, x: Floats) -> list[dict[str, float]]:
    """Mean PSNR in dB of noisy images and of what PCA-Wiener, told sigma, and the VAE make of them.

    The VAE `reconstruct`s, and `denoise`s once told sigma, once not, once from 8 bits a pixel,
    whose noise is cut off at black and white. A first row has no noise at all. An item counts
    at most MOST_DB.
    """
    pca = principal_components(as_float(data.train).numpy())
    mean, basis, variance = pca.mean_, pca.components_.T, pca.explained_variance_
    rows = []
    for sigma in (0.0, *DENOISE_SIGMAS):
        eps = sampling.normal(len(x), x[0].size, seed=2, purpose=sampling.CORRUPTION)
        noisy = x + np.float32(sigma) * eps.reshape(x.shape)
        shrunk = ((noisy.reshape(len(x), -1) - mean) @ basis) * (variance / (variance + sigma**2))
        wiener = (shrunk @ basis.T + mean).clip(0, 1).reshape(x.shape)
        images = {"noisy": noisy.clip(0, 1), "pca_wiener": wiener.astype(np.float32)}
        if vae.bundle.noise:
            images["reconstruct"] = vae.reconstruct(noisy)
            images["denoise_told"] = vae.denoise(noisy, sigma)
            images["denoise"] = vae.denoise(noisy)
            bytes_ = np.rint(noisy.clip(0, 1) * 255).astype(np.float32)
            images["denoise_8_bits"] = vae.denoise(bytes_ / np.float32(255))
        psnr = {
            name: float(peak_signal_to_noise(x, got).clip(max=MOST_DB).mean())
            for name, got in images.items()
        }
        rows.append({"sigma": sigma} | psnr)
    return rows


def principal_components(x: Floats, most: int = 1024) -> PCA:
    """All of the items' principal components, or the `most` that vary most."""
    flat = x.reshape(len(x), -1)
    return PCA(min(most, *flat.shape), random_state=0).fit(flat)


# --- generation ------------------------------------------------------------------------------


def judged_sets(vae: edgevae.VAE, data: Data) -> dict[str, Floats]:
    """The sets of images that the judges compare with the test images.

    A bundle without a mixture, such as an autoencoder's, can only be sampled from N(0, I).
    """
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:ROWS]
    train = as_float(data.train[order]).numpy()
    count = len(train)
    normal = sampling.normal(count, vae.bundle.dims, seed=3)
    sets = {
        "real train images": train,
        "reconstructions": vae.reconstruct(as_float(data.test[:ROWS]).numpy()),
        "aggregate posterior": vae.decode(vae.encode(train).sample(seed=3)),
    }
    if vae.bundle.components:
        sets["mixture prior"] = vae.generate(count, seed=3)
    return sets | {"N(0, I)": vae.decode(normal.reshape(count, *vae.bundle.latent_shape))}


def judge_report(judge: Judge, data: Data, test: Floats, sets: dict[str, Floats]) -> dict[str, Any]:
    real = judge.features(test)
    real_radius = distances.radii(torch.from_numpy(real), NEIGHBOURS)
    rows = {}
    for name, images in sets.items():
        fake = judge.features(images)
        rows[name] = {"frechet": distances.frechet(real, fake)}
        rows[name] |= distances.neighbour_metrics(real, fake, NEIGHBOURS, real_radius)
    return {
        "name": judge.name,
        "parameters": judge.parameters,
        "accuracy": judge.accuracy,
        "features": real.shape[1],
        "rows": rows,
    }


def copies_report(data: Data, test: Floats, generated: Floats) -> dict[str, Any]:
    """Pixel distances to the nearest training image: a copy would lie far nearer than test images.

    Both sets are compared at 2,000 items. A distance under the least of the test images', whose
    data set holds near duplicates of its own, counts as a copy.
    """
    train = as_float(data.train).flatten(1)
    quantiles = (0.0, 0.01, 0.1, 0.5)
    table = {}
    for name, images in (("test", test[:2000]), ("generated", generated[:2000])):
        distance = distances.nearest(torch.from_numpy(images).flatten(1), train)
        levels = torch.quantile(distance, torch.tensor(quantiles)).tolist()
        table[name] = dict(zip(("least", "1 %", "10 %", "median"), levels, strict=True))
        if name == "generated":
            table["copies"] = int((distance < table["test"]["least"]).sum())
            table["items"] = len(images)
    return table


# --- the page --------------------------------------------------------------------------------


def markdown(report: dict[str, Any]) -> str:
    return "\n".join(lines(report)) + "\n"


def lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"# {report['bundle']} on {report['data']}: {report['test_items']:,} test items"
    yield ""
    size = f"{report['parameters'] or '?'} parameters, {report['bytes'] / 1e6:.2f} MB"
    yield f"{size}; in {report['precision']}."
    yield from likelihood_lines(report["likelihood"])
    if "denoising" in report:
        yield from denoising_lines(report["denoising"])
    for judge in report.get("judges", ()):
        yield from judge_lines(judge)
    if "judges" not in report:
        yield "\nNo labelled images, hence no classifier to compare generated items with real ones."
    if "copies" in report:
        yield from copies_lines(report["copies"])


def likelihood_lines(figures: dict[str, Any]) -> Iterator[str]:
    def figure(name: str) -> str:
        value = figures[name]
        return f"{value['mean']:.2f} ± {value['standard_error']:.2f}"

    iwae = figures["negative_iwae"]
    yield "\n| figure | value (± standard error) |\n| --- | --- |"
    yield f"| -ELBO, nats an item | {figure('negative_elbo')} |"
    yield f"| recon + kl | {figure('recon')} + {figure('kl')} |"
    yield (
        f"| -IWAE bound, K = {iwae['draws']}, first {iwae['items']:,} items "
        f"| {figure('negative_iwae')} |"
    )
    if "explained_variance" in figures:
        yield f"| reconstruction, variance explained | {figures['explained_variance']:.3f} |"
    else:
        yield f"| reconstruction, mean PSNR in dB | {figure('reconstruction_psnr_db')} |"
    yield f"| active units | {figures['active_units']} of {figures['latent_dimensions']} |"


def denoising_lines(rows: list[dict[str, float]]) -> Iterator[str]:
    columns = ("sigma", "noisy", "pca_wiener", "reconstruct", "denoise_told", "denoise")
    columns += ("denoise_8_bits",)
    shown = [name for name in columns if name in rows[0]]
    names = {"sigma": "noise sigma", "pca_wiener": "PCA-Wiener (told sigma)"}
    names |= {"denoise_told": "denoise (told sigma)", "denoise_8_bits": "denoise from 8 bits"}
    yield f"\n| {' | '.join(names.get(name, name) for name in shown)} |"
    yield "| --- " * len(shown) + "|"
    for row in rows:
        yield f"| {row['sigma']} | {' | '.join(f'{row[name]:.2f}' for name in shown[1:])} |"
    yield f"\nMean PSNR in dB, an item counting at most {MOST_DB}."
    if "denoise" not in rows[0]:
        yield "It was not trained to denoise."


def judge_lines(judge: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nFeatures of the classifier `{judge['name']}` ({judge['parameters']:,} parameters, "
        f"{100 * judge['accuracy']:.1f} % accurate, {judge['features']} features; "
        f"k = {NEIGHBOURS}):\n"
    )
    columns = ("frechet", "precision", "recall", "density", "coverage")
    yield f"| set | {' | '.join(columns)} |"
    yield "| --- " * (len(columns) + 1) + "|"
    for name, row in judge["rows"].items():
        yield f"| {name} | " + " | ".join(f"{row[column]:.3f}" for column in columns) + " |"


def copies_lines(copies: dict[str, Any]) -> Iterator[str]:
    names = list(copies["test"])
    yield "\nDistance in pixels (L2) to the nearest training image:\n"
    yield f"| set | {' | '.join(names)} |"
    yield "| --- " * (len(names) + 1) + "|"
    for name in ("test", "generated"):
        yield f"| {name} | " + " | ".join(f"{copies[name][level]:.2f}" for level in names) + " |"
    yield (
        f"\nCopies, nearer than any test image is, among {copies['items']:,} generated: "
        f"{copies['copies']}."
    )
