"""The encoder and the decoder of any VAE in PyTorch, as modules to export."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.compiler.graphs import Affine
from edgevae.compiler.reading import LatentScale, read_latent_scale
from edgevae.sampling import MIN_LOGVAR
from train.export.module_outputs import call, posterior, reconstruction


class Pair(nn.Module):
    """Two modules as one, with weights `encoder.*` and `decoder.*`."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class ChannelAffine(nn.Module):
    """Map a value to a * value + b, with a and b for each channel."""

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
    """Map x to (mu, logvar): the graph of encoder.onnx."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], scale: LatentScale) -> None:
        super().__init__()
        self.model, self.shape = model, shape
        self.mu, self.logvar = (
            ChannelAffine(each, len(shape)) for each in (scale.mu, scale.logvar)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = posterior(call(self.model, "encode", x), self.shape)
        mu = self.mu(mu)
        if logvar is None:  # an autoencoder's posterior is a point
            return mu, torch.full_like(mu, MIN_LOGVAR)
        return mu, self.logvar(logvar)


class Decoder(nn.Module):
    """Map z to x_hat: the graph of decoder.onnx."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], scale: LatentScale) -> None:
        super().__init__()
        self.model, self.own = model, ChannelAffine(scale.own, len(shape))

    def forward(self, z: Tensor) -> Tensor:
        return reconstruction(call(self.model, "decode", self.own(z)))


def diffusers_config(model: nn.Module) -> Mapping[str, Any] | None:
    """Return the config of a diffusers model; None for any other module."""
    packages = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    config = getattr(model, "config", None)
    return config if "diffusers" in packages and isinstance(config, Mapping) else None


def latent_scaling(
    model: nn.Module, shape: tuple[int, ...], scaling_factor: float | None
) -> LatentScale:
    """Return how z is scaled: as diffusers' config says, or not at all."""
    config = diffusers_config(model)
    if config is None:
        config = {"scaling_factor": 1.0}
    where = type(model).__name__
    return read_latent_scale(config, where, scaling_factor).for_channels(shape[0], where)
