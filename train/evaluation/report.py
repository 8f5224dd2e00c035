"""The report of a bundle: the quality of its likelihood, latents, prior and pictures.

All figures are computed with the bundle's own graphs through edgevae, as on a device.
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
ROWS = 10_000  # the number of items in each set that is judged
NEIGHBOURS = 5  # k of precision, recall, density and coverage
DENOISE_SIGMAS = (0.1, 0.2, 0.3, 0.5)
MAX_DB = 60  # an item's PSNR counts at most this, so that perfect items do not rule the mean


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

    Without labels there are no classifiers, and no distances in their features; vectors have no
    pictures either. Raises `InputError` if the items do not have the bundle's shape, and for a
    conditional bundle, as scores do not support classes.
    """
    began = time.monotonic()
    vae = edgevae.load(path, precision=precision)
    if vae.bundle.classes:
        raise InputError(
            f"expected a bundle without classes, got {vae.bundle.name!r} of "
            f"{len(vae.bundle.classes)}: benchmarks/bench_classes.py judges the images that a "
            "conditional one generates"
        )
    if data.x_shape != vae.bundle.x_shape:
        raise InputError(
            f"expected items of shape {vae.bundle.x_shape}, those of bundle {vae.bundle.name!r}, "
            f"got {data.x_shape} in {data.name!r}: pass --data what it was trained on"
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
        report["judges"] = [judge_report(judge, test, sets) for judge in judges(data, judge_folder)]
    if data.drawable:
        report["copies"] = copies_report(data, test, vae.generate(len(test), seed=3))
    report["seconds"] = round(time.monotonic() - began)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "report.md").write_text(markdown(report))
    return report


# --- likelihood ------------------------------------------------------------------------------


def likelihood_report(vae: edgevae.VAE, x: Floats, draws: int, iwae_items: int) -> dict[str, Any]:
    """Return -ELBO at one z of each item, the IWAE bound, the error of x_hat, and active units.

    Standard errors are those of means over items. The bound is estimated on the first `iwae_items`
    items, as it costs `draws` decodings of each.
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
    """Return the PSNR of images, and the share of explained variance of other items."""
    x_hat = vae.reconstruct(x)
    if vae.bundle.data.drawable:
        return {"reconstruction_psnr_db": mean_and_error(peak_signal_to_noise(x, x_hat))}
    varies = x.std(0) > 0
    unexplained = ((x - x_hat)[:, varies] / x.std(0)[varies]) ** 2
    return {"explained_variance": float(1 - unexplained.mean())}


def peak_signal_to_noise(x: Floats, x_hat: Floats) -> NDArray[np.float64]:
    """Return 10 log10(1 / mean squared error) of each item, for values in [0, 1]."""
    error = (x.astype(np.float64) - x_hat).reshape(len(x), -1)
    return -10 * np.log10((error**2).mean(1).clip(1e-12))


def mean_and_error(values: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return the mean of values and its standard error."""
    return {
        "mean": float(values.mean()),
        "standard_error": float(values.std(ddof=1) / math.sqrt(len(values))),
    }


# --- denoising -------------------------------------------------------------------------------


def denoising_report(vae: edgevae.VAE, data: Data, x: Floats) -> list[dict[str, float]]:
    """Return the mean PSNR in dB of noisy images and of their denoised versions, for each sigma.

    PCA-Wiener knows sigma. The VAE's methods are `reconstruct`, `denoise` with sigma, `denoise`
    without it, and `denoise` of images rounded to 8 bits a pixel, which clips the noise at black
    and white. The first row is without noise. An item counts at most MAX_DB.
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
            name: float(peak_signal_to_noise(x, image).clip(max=MAX_DB).mean())
            for name, image in images.items()
        }
        rows.append({"sigma": sigma} | psnr)
    return rows


def principal_components(x: Floats) -> PCA:
    """Fit all principal components of the items, or the 1,024 with the largest variance."""
    flat = x.reshape(len(x), -1)
    return PCA(min(1024, *flat.shape), random_state=0).fit(flat)


# --- generation ------------------------------------------------------------------------------


def judged_sets(vae: edgevae.VAE, data: Data) -> dict[str, Floats]:
    """Return the sets of images that the judges compare with the test images, by name.

    A bundle without a mixture, such as an autoencoder's, is sampled from N(0, I) only.
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


def judge_report(judge: Judge, test: Floats, sets: dict[str, Floats]) -> dict[str, Any]:
    """Return the facts of a judge, and each set's distances from the test images."""
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
    """Return the distances, in pixels, of test and generated images to the nearest training image.

    2,000 images of each set are compared. A generated image counts as a copy if it is nearer than
    any test image (the data set contains near duplicates itself).
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
    """Return the report as a page."""
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
        yield "\nThere are no labelled images, hence no classifier to judge generated items."
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
    names = {"sigma": "noise sigma", "pca_wiener": "PCA-Wiener (known sigma)"}
    names |= {"denoise_told": "denoise (known sigma)", "denoise_8_bits": "denoise from 8 bits"}
    yield f"\n| {' | '.join(names.get(name, name) for name in shown)} |"
    yield "| --- " * len(shown) + "|"
    for row in rows:
        yield f"| {row['sigma']} | {' | '.join(f'{row[name]:.2f}' for name in shown[1:])} |"
    yield f"\nMean PSNR in dB; an item counts at most {MAX_DB}."
    if "denoise" not in rows[0]:
        yield "The model was not trained to denoise."


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
    yield "\nDistance (L2 over pixels) to the nearest training image:\n"
    yield f"| set | {' | '.join(names)} |"
    yield "| --- " * (len(names) + 1) + "|"
    for name in ("test", "generated"):
        yield f"| {name} | " + " | ".join(f"{copies[name][level]:.2f}" for level in names) + " |"
    yield (
        f"\nOf {copies['items']:,} generated images {copies['copies']} are copies, nearer to a "
        "training image than any test image is."
    )
