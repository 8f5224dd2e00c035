"""Write what this machine computes, for a comparison with what another one computes.

    python tests/device/results.py results.npz

The inputs are drawn from seeds, by NumPy and by stream 1. The names of the arrays say what must be
equal: those after "bits/" to the bit, "float32/" and "int8/" within the tolerance of a bundle.
"""

import sys
from collections.abc import Iterator

import numpy as np

import edgevae
from edgevae import _core
from edgevae.scoring import Scores

Arrays = Iterator[tuple[str, np.ndarray]]
BUNDLES = {"fashion": ("float32", "int8"), "names": ("float32",)}
NOISE = 0.1, 0.3  # standard deviations, of images to denoise
ROWS = 6  # of each graph: emulation takes about 0.1 s a row


def kernels() -> Arrays:
    """Yield what each kernel computes, at shapes of whole blocks and of any other kind."""
    rng = np.random.default_rng(1)
    mu, logvar = rng.standard_normal((2, 67, 37), np.float32)
    x = rng.uniform(-0.1, 1.1, (3, 3, 19, 23)).astype(np.float32)
    for name in _core.kernels()["available"]:
        _core.use_kernel(name)
        own = "scalar" if name == "scalar" else "vector"
        yield f"{own}/normal", _core.normal(257, 64, seed=7, start=2**40)
        yield f"{own}/normal odd", _core.normal(130, 43, seed=7, start=2**32 - 60, first_dim=3)
        yield f"{own}/scale", _core.scale(20 * logvar)
        yield f"{own}/reparameterize", _core.reparameterize(mu, logvar, seed=3, draws=2)
        yield f"{own}/pack", _core.pack(x)
    _core.use_kernel(None)


def bundle(name: str, precision: str) -> Arrays:
    """Yield what a shipped bundle computes; items are those that it generates in float32."""
    vae = edgevae.load(name, provider="cpu", precision=precision)
    yield "x_hat", vae.decode(vae.sample(ROWS, seed=7))
    rng = np.random.default_rng(2)
    x = edgevae.load(name, provider="cpu").generate(ROWS, seed=8)
    posterior = vae.encode(x)
    yield "mu", posterior.mu
    yield "logvar", posterior.logvar
    yield "reconstruction", vae.decode(posterior.mu)
    scores = vae.score(x)
    assert isinstance(scores, Scores)
    yield "score", scores.values
    if name == "fashion" and precision == "float32":
        for sigma in NOISE:
            noisy = x + rng.normal(0, sigma, x.shape).astype(np.float32)
            yield f"denoised {sigma}", vae.denoise(noisy, sigma)
            yield f"denoised {sigma}, clipped", vae.denoise(noisy.clip(0, 1))


def results() -> Arrays:
    """Yield every array and its name."""
    for key, array in kernels():
        yield f"bits/{key}", array
    for name, precisions in BUNDLES.items():
        yield f"bits/{name}/z", edgevae.load(name, provider="cpu").sample(300, seed=7)
        for precision in precisions:
            for key, array in bundle(name, precision):
                yield f"{precision}/{name}/{key}", array


if __name__ == "__main__":
    np.savez(sys.argv[1], **dict(results()))
