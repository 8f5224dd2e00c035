"""Anybody's VAE in PyTorch to a bundle: `python -m train export --module PACKAGE.MODULE:FACTORY`.

The factory takes nothing and returns a module that has

    encode(x) -> (mu, logvar), or one tensor of both in 2 C channels, or what diffusers and pythae
                 return: .latent_dist, .latents, .latent, .embedding and .log_covariance
    decode(z) -> x_hat, or what has it as .sample or .reconstruction

or, where it lacks these methods, an `encoder` and a `decoder` to call (pythae), or it returns such
a pair. An encoder that gives one latent an item, and no log-variance, is an autoencoder's. Latents
of diffusers' models are scaled as their config says (`edgevae.compiler.reading.latent_scale`).
"""

import argparse
import importlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgevae import bundle, compiler, sampling
from edgevae.compiler import prior as priors
from edgevae.compiler.graphs import parity
from edgevae.compiler.graphs.fold_affine import Affine
from edgevae.compiler.reading import latent_scale as latent
from edgevae.errors import InputError
from train.export.any_prior import mixture_of
from train.export.export import to_onnx, verify
from train.model import state_file

ROWS = 8

# Of pythae, by their `model_name`: why mu, logvar and z are not those of a VAE that can be sampled.
NOT_GAUSSIAN = {
    "HVAE": "its posterior is moved by Hamiltonian steps, which need the decoder's gradient",
    "RHVAE": "its posterior is moved by Hamiltonian steps, which need the decoder's gradient",
    "VAE_IAF": "a normalizing flow follows its posterior, which is then no Gaussian",
    "VAE_LinNF": "a normalizing flow follows its posterior, which is then no Gaussian",
    "SVAE": "its latents lie on a sphere, drawn from a von Mises-Fisher distribution",
    "PoincareVAE": "its latents lie in hyperbolic space",
    "VQVAE": "its latents are rows of a codebook",
}


class Pair(nn.Module):
    """Two modules as one, whose weights are `encoder.*` and `decoder.*`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class Mapped(nn.Module):
    """a * value + b, by channels."""

    def __init__(self, affine: Affine, axes: int) -> None:
        super().__init__()
        shape = (-1, *[1] * (axes - 1))
        for name, numbers in affine._asdict().items():
            column = torch.from_numpy(numbers.astype(np.float32)).reshape(shape)
            self.register_buffer(name, column)
        self.changes = bool((affine.scale != 1).any() or affine.shift.any())

    def forward(self, value: Tensor) -> Tensor:
        return value * self.scale + self.shift if self.changes else value


class Encoder(nn.Module):
    """x -> (mu, logvar): the graph of encoder.onnx."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], scale: latent.Latent) -> None:
        super().__init__()
        self.model, self.shape = model, shape
        self.mu, self.logvar = (Mapped(each, len(shape)) for each in (scale.mu, scale.logvar))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = posterior(call(self.model, "encode", x), self.shape)
        mu = self.mu(mu)
        return mu, torch.full_like(mu, sampling.MIN_LOGVAR) if logvar is None else self.logvar(
            logvar
        )


class Decoder(nn.Module):
    """z -> x_hat: the graph of decoder.onnx."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], scale: latent.Latent) -> None:
        super().__init__()
        self.model, self.own = model, Mapped(scale.own, len(shape))

    def forward(self, z: Tensor) -> Tensor:
        return reconstruction(call(self.model, "decode", self.own(z)))


def export(
    model: nn.Module,
    out: Path,
    *,
    x_shape: Sequence[int] = (),
    latent_shape: Sequence[int] = (),
    x_range: tuple[float, float] | None = None,
    scaling_factor: float | None = None,
    prior: object = None,
    name: str | None = None,
    licence: str = "not stated",
    provenance: Mapping[str, str | float] | None = None,
    measure: bool = True,
    int8: bool = False,
) -> compiler.Compiled:
    """Writes the bundle of a module, or raises and writes nothing.

    `x_shape`, without the batch, is that of the module's config where it is not given;
    `latent_shape` is needed where `encode` gives one tensor alone, to tell mu and logvar from a
    single latent. `prior` is all that `mixture_of` takes, over the flattened z; None is the
    standard normal, or for pythae's VAMP its own. Other arguments are as in `compiler.compile`.

    Raises `InputError` where the module is not such a pair, `CheckError` where onnxruntime and
    PyTorch differ by more than 1e-5.
    """
    model = model.eval().requires_grad_(False)
    refuse(model)
    x_shape = shape_of_x(model, tuple(x_shape))
    with torch.no_grad():
        first = call(model, "encode", torch.zeros(2, *x_shape))
        mu, logvar = posterior(first, tuple(latent_shape))
    shape = tuple(mu.shape[1:])
    scale = latent_of(model, shape, scaling_factor)
    table = mixture_of(model if prior is None else prior)
    encoder, decoder = Encoder(model, shape, scale).eval(), Decoder(model, shape, scale).eval()
    z = torch.from_numpy(priors.latents(priors.read(table, shape), shape, ROWS))
    with torch.no_grad():
        x = decoder(z)
        if tuple(x.shape[1:]) != x_shape:
            raise InputError(
                f"expected decode to give x of {x_shape}, got {tuple(x.shape[1:])}; say --x-shape"
            )
        check = {"x": x, "z": z, "x_hat": x, **dict(zip(("mu", "logvar"), encoder(x), strict=True))}
    graphs = {
        "encoder": to_onnx(encoder, {"x": x[:2]}, ("mu", "logvar")),
        "decoder": to_onnx(decoder, {"z": z[:2]}, ("x_hat",)),
    }
    random = torch.from_numpy(sampling.normal(7, math.prod(x_shape), seed=1)).reshape(7, *x_shape)
    with torch.no_grad():
        unit = largest(*encoder(torch.cat([x, random]))[: 1 if logvar is None else 2])
    verify(graphs["encoder"], encoder, (x, random), unit)
    verify(graphs["decoder"], decoder, (z,), largest(x))
    if x_range is None and diffusers_config(model) is not None:
        x_range = (-1.0, 1.0)  # by its convention: its decoders end without an activation
    return compiler.compile(
        graphs["decoder"],
        graphs["encoder"],
        out=out,
        replace=True,
        description=compiler.Description(
            name=name,
            model="autoencoder" if logvar is None else "vae",
            tolerance=10 * parity.LIMIT * max(unit, largest(x)),
            licence=licence,
            provenance=provenance,
        ),
        x_range=x_range,
        prior=table,
        selfcheck={key: value.numpy() for key, value in check.items()},
        measure=measure,
        int8=compiler.Int8() if int8 else None,
    )


def make(path: str) -> Any:
    """What the function at PACKAGE.MODULE:FUNCTION returns."""
    module, colon, function = path.partition(":")
    if not (module and colon and function):
        raise InputError(f"expected PACKAGE.MODULE:FUNCTION, got {path!r}")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"expected a function at {path!r}, got {error}; run where `import {module}` works"
        ) from error
    return found()


def module(made: object) -> nn.Module:
    """A factory's result as one module."""
    if isinstance(made, tuple) and len(made) == 2:
        made = Pair(*made)
    if not isinstance(made, nn.Module):
        raise InputError(
            f"expected the factory to return a torch.nn.Module, or a pair (encoder, decoder), got "
            f"{type(made).__name__}"
        )
    return made


def load(model: nn.Module, path: Path) -> None:
    """Loads a state dict, or what holds one as its "state_dict" or "model_state_dict"."""
    content: Any = state_file.read(path)
    for key in ("state_dict", "model_state_dict"):
        content = content.get(key, content) if isinstance(content, dict) else content
    try:
        model.load_state_dict(content)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{path}: expected the weights of this module, got {error}") from None


def refuse(model: nn.Module) -> None:
    """Raises `InputError` for what is known to be no Gaussian in z."""
    name = str(getattr(model, "model_name", ""))
    if name in NOT_GAUSSIAN:
        raise InputError(
            f"expected a module whose posterior is a diagonal Gaussian, got pythae's {name}: "
            f"{NOT_GAUSSIAN[name]}; export its decoder alone, and draw z elsewhere"
        )


def call(model: nn.Module, verb: str, value: Tensor) -> Any:
    """By a method, or by the submodule that is named after it: encode, encoder."""
    work: Callable[[Tensor], Any] | None = getattr(model, verb, None) or getattr(
        model, f"{verb}r", None
    )
    if work is None:
        raise InputError(
            f"expected a module with a method {verb}, or a submodule {verb}r, got "
            f"{type(model).__name__}; return a pair (encoder, decoder) from the factory"
        )
    return work(value)


def posterior(made: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """mu and logvar of what an encoder returned; None for one latent an item."""
    made = alone(made)
    if isinstance(made, tuple) and len(made) == 2:
        return made
    if isinstance(made, Tensor):
        return parted(made, shape)
    if hasattr(made, "latent_dist"):
        return made.latent_dist.mean, made.latent_dist.logvar
    for point in ("latents", "latent"):
        if hasattr(made, point):
            return getattr(made, point), None
    if hasattr(made, "log_covariance"):
        return made.embedding, made.log_covariance
    if isinstance(made, Mapping) and list(made) == ["embedding"]:
        return made["embedding"], None
    raise InputError(
        f"expected encode to return (mu, logvar), one tensor, or an output of diffusers' or "
        f"pythae's, got {described(made)}; wrap it in a module whose encode does"
    )


def parted(made: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """One tensor as mu and logvar, or as mu alone."""
    if not shape:
        raise InputError(
            f"expected the shape of a latent, since encode gives one tensor of "
            f"{tuple(made.shape[1:])}, got none; say --latent-shape: that, for an autoencoder, or "
            f"one of half as many channels, where it holds mu and logvar"
        )
    if tuple(made.shape[1:]) == shape:
        return made, None
    mu, logvar = made.chunk(2, dim=1)
    if tuple(mu.shape[1:]) != shape or mu.shape != logvar.shape:
        raise InputError(
            f"expected encode to give {shape}, or as much twice over, got {tuple(made.shape[1:])}"
        )
    return mu, logvar


def reconstruction(made: Any) -> Tensor:
    """x_hat of what a decoder returned."""
    made = alone(made)
    for key in ("sample", "reconstruction"):
        if not isinstance(made, Tensor) and hasattr(made, key):
            made = getattr(made, key)
    if not isinstance(made, Tensor):
        raise InputError(
            f"expected decode to return a tensor, or an output of diffusers' or pythae's, got "
            f"{described(made)}; wrap it in a module whose decode does"
        )
    return made


def alone(made: Any) -> Any:
    """What a tuple of one holds."""
    return made[0] if isinstance(made, tuple) and len(made) == 1 else made


def described(made: object) -> str:
    keys = f" of {', '.join(map(str, made))}" if isinstance(made, Mapping) else ""
    return f"{type(made).__name__}{keys}"


def diffusers_config(model: nn.Module) -> Mapping[str, Any] | None:
    """What diffusers knows of its own model; None for any other module."""
    packages = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    config = getattr(model, "config", None)
    return config if "diffusers" in packages and isinstance(config, Mapping) else None


def shape_of_x(model: nn.Module, given: tuple[int, ...]) -> tuple[int, ...]:
    """As given, or as the module knows it: `x_shape`, pythae's `input_dim`, diffusers' config."""
    config = diffusers_config(model) or {}
    side = config.get("sample_size")
    image = (config.get("in_channels"), side, side) if side else None
    known = given or getattr(model, "x_shape", None) or getattr(model, "input_dim", None) or image
    if not known:
        raise InputError("expected the shape of one x, got none: say --x-shape, such as 3 64 64")
    return tuple(known)


def latent_of(
    model: nn.Module, shape: tuple[int, ...], scaling_factor: float | None
) -> latent.Latent:
    """How z is scaled: as diffusers' config says, or not at all."""
    config = diffusers_config(model)
    if config is None:
        config = {"scaling_factor": 1.0}
    where = type(model).__name__
    return latent.read(config, where, scaling_factor).over(shape[0], where)


def largest(*values: Tensor) -> float:
    """What 1e-5 is of: the largest number, or 1 where all are smaller."""
    return max(1.0, *(float(value.abs().max()) for value in values))


def run(options: argparse.Namespace) -> bundle.Bundle:
    """`python -m train export --module ...`."""
    model = module(make(options.module))
    if options.weights:
        load(model, options.weights)
    npz = options.prior is None or options.prior.endswith(".npz")
    compiled = export(
        model,
        options.out,
        x_shape=options.x_shape,
        latent_shape=options.latent_shape,
        x_range=tuple(options.range) if options.range else None,
        scaling_factor=options.scaling_factor,
        prior=options.prior if npz else make(options.prior),
        name=options.name,
        licence=options.licence,
        provenance=provenance(model, options.module, options.scaling_factor),
        int8=options.int8,
    )
    for note in compiled.notes:
        print(note)
    return compiled.bundle


def provenance(
    model: nn.Module, factory: str, scaling_factor: float | None
) -> dict[str, str | float]:
    config = diffusers_config(model) or {}
    said = {key: config[key] for key in latent.FIELDS if config.get(key)}
    said |= {} if scaling_factor is None else {"scaling_factor": scaling_factor}
    numbers = (str, int, float)
    texts = {key: v if isinstance(v, numbers) else json.dumps(v) for key, v in said.items()}
    return {
        "factory": factory,
        "class": type(model).__name__,
        **texts,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "torch": torch.__version__.split("+")[0],
        "onnx": onnx.__version__,
    }
