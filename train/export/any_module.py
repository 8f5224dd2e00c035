"""Export any VAE in PyTorch: `python -m train export --module PACKAGE.MODULE:FACTORY`.

The factory takes no arguments and returns a module with two methods:

    encode(x) -> (mu, logvar), or one tensor of both in 2 C channels, or an output of diffusers or
                 pythae, with .latent_dist, .latents, .latent, .embedding and .log_covariance
    decode(z) -> x_hat, or an output with .sample or .reconstruction

A module without these methods has an `encoder` and a `decoder` to call, as pythae's have; the
factory may also return such a pair. An encoder that returns one latent and no log-variance is that
of an autoencoder. Latents of diffusers' models are scaled as their config says
(`edgevae.compiler.reading.latent_scale`).
"""

import dataclasses
import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from edgevae import compiler, sampling
from edgevae.compiler import Description, read_prior
from edgevae.compiler.graphs import LIMIT
from edgevae.compiler.reading import LATENT_SCALE_FIELDS
from edgevae.errors import InputError
from edgevae.latents import Prior
from train.export.any_prior import mixture_of
from train.export.export import DEFAULT_OPTIONS, to_onnx, verify
from train.export.module_graphs import Decoder, Encoder, Pair, diffusers_config, latent_scaling
from train.export.module_outputs import call, posterior
from train.model import state_file

ROWS = 8  # latents of the self-check
UNDESCRIBED = Description()

# Why pythae's other models, by their `model_name`, are not VAEs with a Gaussian posterior.
NOT_GAUSSIAN = {
    "HVAE": "its posterior is moved by Hamiltonian steps, which need the decoder's gradient",
    "RHVAE": "its posterior is moved by Hamiltonian steps, which need the decoder's gradient",
    "VAE_IAF": "a normalizing flow follows its posterior, which is then no Gaussian",
    "VAE_LinNF": "a normalizing flow follows its posterior, which is then no Gaussian",
    "SVAE": "its latents lie on a sphere, drawn from a von Mises-Fisher distribution",
    "PoincareVAE": "its latents lie in hyperbolic space",
    "VQVAE": "its latents are rows of a codebook",
}


class Graphs:
    """A module as the graphs of an encoder and a decoder, verified against PyTorch.

    `autoencoder` is true if the encoder returns no log-variance; `check` holds the inputs and
    outputs of a self-check, and absolute tolerances are relative to `scale`.
    """

    def __init__(
        self,
        model: nn.Module,
        x_shape: tuple[int, ...],
        latent_shape: tuple[int, ...],
        scaling_factor: float | None,
        prior: object,
    ) -> None:
        with torch.no_grad():
            first = call(model, "encode", torch.zeros(2, *x_shape))
            mu, logvar = posterior(first, latent_shape)
        self.autoencoder = logvar is None
        shape = tuple(mu.shape[1:])
        scaling = latent_scaling(model, shape, scaling_factor)
        encoder = Encoder(model, shape, scaling).eval()
        decoder = Decoder(model, shape, scaling).eval()
        self.prior = mixture_of(model if prior is None else prior)
        z = torch.from_numpy(Prior(shape, read_prior(self.prior, shape)).draw(ROWS, seed=0))
        with torch.no_grad():
            x = decoder(z)
            if tuple(x.shape[1:]) != x_shape:
                raise InputError(
                    f"expected decode to return x of {x_shape}, got {tuple(x.shape[1:])}; pass "
                    "--x-shape"
                )
            mu, logvar = encoder(x)
        self.check = {"x": x, "z": z, "x_hat": x, "mu": mu, "logvar": logvar}
        self.encoder = to_onnx(encoder, {"x": x[:2]}, ("mu", "logvar"))
        self.decoder = to_onnx(decoder, {"z": z[:2]}, ("x_hat",))
        random = torch.from_numpy(sampling.normal(7, math.prod(x_shape), seed=1))
        random = random.reshape(7, *x_shape)
        with torch.no_grad():
            outputs = encoder(torch.cat([x, random]))
        size = largest(*outputs[: 1 if self.autoencoder else 2])
        verify(self.encoder, encoder, (x, random), size)
        verify(self.decoder, decoder, (z,), largest(x))
        self.scale = max(size, largest(x))


def export(
    model: nn.Module,
    out: Path,
    *,
    x_shape: Sequence[int] = (),
    latent_shape: Sequence[int] = (),
    x_range: tuple[float, float] | None = None,
    scaling_factor: float | None = None,
    prior: object = None,
    description: Description = UNDESCRIBED,
    options: compiler.Options = DEFAULT_OPTIONS,
) -> compiler.Compiled:
    """Write the bundle of a module, or raise an error and write nothing.

    `x_shape` is the shape of an item (default: that of the module's config). `latent_shape` is
    required if `encode` returns one tensor, to distinguish mu and logvar from a single latent.
    `prior` is anything that `mixture_of` takes, over the flattened z; None is the standard normal,
    or for pythae's VAMP its own prior. Of `description` the fields `model` and `tolerance` are
    replaced. Other arguments are as in `compiler.compile`.

    Raises `InputError` if the module does not have these methods, and `CheckError` if onnxruntime
    and PyTorch differ by more than 1e-5.
    """
    model = model.eval().requires_grad_(False)
    refuse(model)
    x_shape = shape_of_x(model, tuple(x_shape))
    graphs = Graphs(model, x_shape, tuple(latent_shape), scaling_factor, prior)
    if x_range is None and diffusers_config(model) is not None:
        x_range = (-1.0, 1.0)  # by diffusers' convention: its decoders end without an activation
    return compiler.compile(
        graphs.decoder,
        graphs.encoder,
        out=out,
        replace=True,
        description=dataclasses.replace(
            description,
            model="autoencoder" if graphs.autoencoder else "vae",
            tolerance=10 * LIMIT * graphs.scale,
        ),
        reading=compiler.Reading(x_range=x_range),
        prior=graphs.prior,
        extras=compiler.Extras(
            selfcheck={key: value.numpy() for key, value in graphs.check.items()}
        ),
        options=options,
    )


def make(path: str) -> Any:
    """Call the function at PACKAGE.MODULE:FUNCTION and return its result."""
    module, colon, function = path.partition(":")
    if not (module and colon and function):
        raise InputError(f"expected PACKAGE.MODULE:FUNCTION, got {path!r}")
    try:
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"expected a function at {path!r}, got {error}; run where `import {module}` works"
        ) from error
    return factory()


def module(result: object) -> nn.Module:
    """Return a factory's result as one module."""
    if isinstance(result, tuple) and len(result) == 2:
        result = Pair(*result)
    if not isinstance(result, nn.Module):
        raise InputError(
            f"expected the factory to return a torch.nn.Module, or a pair (encoder, decoder), got "
            f"{type(result).__name__}"
        )
    return result


def load(model: nn.Module, path: Path) -> None:
    """Load a state dict, or the one that a file holds as "state_dict" or "model_state_dict"."""
    content: Any = state_file.read(path)
    for key in ("state_dict", "model_state_dict"):
        content = content.get(key, content) if isinstance(content, dict) else content
    try:
        model.load_state_dict(content)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{path}: expected the weights of this module, got {error}") from None


def refuse(model: nn.Module) -> None:
    """Raise `InputError` for a model whose posterior is known not to be a diagonal Gaussian."""
    name = str(getattr(model, "model_name", ""))
    if name in NOT_GAUSSIAN:
        raise InputError(
            f"expected a module whose posterior is a diagonal Gaussian, got pythae's {name}: "
            f"{NOT_GAUSSIAN[name]}; export its decoder alone, and draw z elsewhere"
        )


def shape_of_x(model: nn.Module, x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `x_shape`, or if empty the module's: `x_shape`, `input_dim` or diffusers' config."""
    config = diffusers_config(model) or {}
    side = config.get("sample_size")
    image = (config.get("in_channels"), side, side) if side else None
    known = x_shape or getattr(model, "x_shape", None) or getattr(model, "input_dim", None) or image
    if not known:
        raise InputError("expected the shape of one x, got none: pass --x-shape, such as 3 64 64")
    return tuple(known)


def largest(*values: Tensor) -> float:
    """Return the largest absolute value, at least 1: tolerances are relative to it."""
    return max(1.0, *(float(value.abs().max()) for value in values))


def provenance(
    model: nn.Module, factory: str, scaling_factor: float | None
) -> dict[str, str | float]:
    """Return the facts of a bundle's provenance: factory, class, config, versions."""
    config = diffusers_config(model) or {}
    fields = {key: config[key] for key in LATENT_SCALE_FIELDS if config.get(key)}
    fields |= {} if scaling_factor is None else {"scaling_factor": scaling_factor}
    simple = (str, int, float)
    return {
        "factory": factory,
        "class": type(model).__name__,
        **{key: v if isinstance(v, simple) else json.dumps(v) for key, v in fields.items()},
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "torch": torch.__version__.split("+")[0],
        "onnx": onnx.__version__,
    }
