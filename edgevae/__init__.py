"""Variational autoencoders on any device: numpy, onnxruntime and a C kernel.

    import edgevae
    x = edgevae.generate(16, seed=7)

Each name is imported on first use, so that `import edgevae` costs little more than numpy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevae._core import kernels
    from edgevae.batcher import Batcher
    from edgevae.errors import BundleError, CheckError, EdgeVAEError, InputError, ProviderError
    from edgevae.latents import Posterior
    from edgevae.sampling import fresh_seed
    from edgevae.scoring import Scores
    from edgevae.vae import VAE, generate, load

__version__ = "0.1.0"

_HOMES = {
    "generate": "edgevae.vae",
    "load": "edgevae.vae",
    "VAE": "edgevae.vae",
    "Batcher": "edgevae.batcher",
    "Posterior": "edgevae.latents",
    "Scores": "edgevae.scoring",
    "kernels": "edgevae._core",
    "fresh_seed": "edgevae.sampling",
    "EdgeVAEError": "edgevae.errors",
    "BundleError": "edgevae.errors",
    "InputError": "edgevae.errors",
    "ProviderError": "edgevae.errors",
    "CheckError": "edgevae.errors",
}

__all__ = [
    "VAE",
    "Batcher",
    "BundleError",
    "CheckError",
    "EdgeVAEError",
    "InputError",
    "Posterior",
    "ProviderError",
    "Scores",
    "__version__",
    "fresh_seed",
    "generate",
    "kernels",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgevae' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
