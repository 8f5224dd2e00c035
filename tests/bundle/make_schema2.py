"""Write the bundles of schema 2 that every later reader and writer must keep to the byte.

python tests/bundle/make_schema2.py tests/bundle/schema2

The bundles in tests/bundle/schema1 are the same but `targets`, by the last writer of schema 1.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))  # for tiny

from tiny import TINIES, Tiny, int8

from edgevae import bundle
from edgevae.bundle import Bundle, GraphEntry, Tiles
from edgevae.data import Features, Text


def write(tiny: Tiny, path: Path, **changes: object) -> Bundle:
    """Write a tiny model with its self-check in multiples of 2^-10.

    Processors may differ in the last bit of a tanh or a sum; rounding takes that out.
    """
    check = tiny.arguments()["selfcheck"]
    check = {key: np.round(np.ldexp(array, 10)) / 1024 for key, array in check.items()}
    return tiny.write(path, selfcheck=check, **changes)


def image(path: Path) -> Bundle:
    """Grey images with a mixture prior, int8, tiles, statistics and a calibration."""
    tiny = TINIES["grey"]
    decoder = {"row_bytes": 4096, "chunk_rows": 32}
    written = write(
        tiny,
        path,
        activations=tiny.activations(),
        further=[int8("decoder", replace(tiny, x_range=(0.0, 0.95)).decoder(), **decoder)],
        quality={"int8": {"decoder_psnr": 41.5, "decoder_check_difference": 0.05}},
        costs={
            "decoder": decoder,
            "encoder": {"row_bytes": 2048, "chunk_rows": 64},
            "activations": {"chunk_rows": 64},
        },
        tiles=Tiles(scale=2, receptive=1, overlap=2, difference=0.001),
        likelihood={"name": "bernoulli"},
    )
    rng = np.random.default_rng(11)
    statistics = {
        "location": np.zeros(2, np.float32),
        "scale": np.ones(2, np.float32),
        "mu_mean": rng.standard_normal(4).astype(np.float32),
        "mu_matrix": np.eye(4, dtype=np.float32),
    }
    scores = {"recon": np.sort(rng.random(99)), "default": np.sort(rng.standard_normal(99))}
    return bundle.extend(
        written,
        path,
        arrays={"statistics.npz": statistics, "calibration.npz": scores},
        fields={"calibration": {"alpha": 0.01, "precision": "float32", "draws": 64}},
    )


def colour(path: Path) -> Bundle:
    """Colour images in [-1, 1] with a standard normal prior and a latent of two axes."""
    return write(TINIES["colour"], path)


def vector(path: Path) -> Bundle:
    """Vectors whose features have names, a scale, a replacement for NaN and a sigma each."""
    names = ("mass", "charge", "spin", "width", "life")
    features = Features(names, (0.0,) * 5, (1.0, 2.0, 3.0, 4.0, 5.0), (0.5,) * 5)
    sigma = [0.1, 0.2, 0.3, 0.4, 0.5]
    likelihood = {"name": "gaussian", "sigma": sigma}
    return write(TINIES["vector"], path, features=features, likelihood=likelihood)


def signal(path: Path) -> Bundle:
    """Windows of a signal of two features, three steps apart."""
    tiny = Tiny("signal", (2, 6), None, (3,))
    features = Features(("volts", "amps"), (0.0, 1.0), (1.0, 2.0))
    likelihood = {"name": "gaussian", "sigma": [0.1, 0.2]}
    return write(tiny, path, features=features, stride=3, likelihood=likelihood)


def text(path: Path) -> Bundle:
    """Strings of at most four characters, in title case."""
    tiny = Tiny("text", (4, 4), (0.0, 1.0), (2,))
    return write(tiny, path, text=Text("abc", 4, "title"), likelihood={"name": "categorical"})


def classes(path: Path) -> Bundle:
    """A conditional decoder with two components of the prior for each of its classes."""
    tiny = replace(TINIES["classes"], components=6)
    return write(tiny, path, by_class=True)


def autoencoder(path: Path) -> Bundle:
    """A model without a posterior and without a prior."""
    return write(TINIES["grey"], path, model="autoencoder", prior=None, noise=0.0)


def decoder(path: Path) -> Bundle:
    """A decoder alone."""
    return write(TINIES["grey"], path, encoder=None, noise=0.0)


def targets(path: Path) -> Bundle:
    """Graphs for targets, two of which are one file, and the costs of calls."""
    tiny, other = TINIES["grey"], replace(TINIES["grey"], x_range=(0.0, 0.95)).decoder()
    entries = [
        GraphEntry("decoder", "x86_64", "float32", chunk_rows=16, call_us={1: 20.5, 16: 300}),
        GraphEntry("decoder", "aarch64", "float32", chunk_rows=8, call_us={1: 90.0}),
        GraphEntry("decoder", "x86_64", "int8"),
    ]
    further = [(entry, other) for entry in entries]
    return write(tiny, path, further=further, costs={"decoder": {"call_us": {1: 25.0}}})


BUNDLES: tuple[Callable[[Path], Bundle], ...] = (
    image,
    colour,
    vector,
    signal,
    text,
    classes,
    autoencoder,
    decoder,
    targets,
)


if __name__ == "__main__":
    for make in BUNDLES:
        make(Path(sys.argv[1]) / make.__name__)
