"""Scale latents by the config of a diffusers model.

A diffusion model in a VAE's latent space takes latents of about unit variance. The VAE's graphs
compute with latents of another scale, here called its own, and its config says how these become
the scaled ones. A bundle's z is the scaled latent.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import Affine, constants
from edgevae.errors import InputError, show

Doubles = npt.NDArray[np.float64]

# The fields of a config that state the latent's scale.
FIELDS = ("scaling_factor", "shift_factor", "latents_mean", "latents_std")


class LatentScale(NamedTuple):
    """z = (own - shift) * scale by channel: float64 (C,), or (1,) for all channels alike."""

    scale: Doubles
    shift: Doubles

    def for_channels(self, channels: int, where: str) -> "LatentScale":
        """Return the scale with one number for each channel.

        Raises `InputError` if it has another number of channels.
        """
        for name, numbers in (("latents_std", self.scale), ("latents_mean", self.shift)):
            if len(numbers) not in (1, channels):
                raise InputError(
                    f"{where}: expected {name} of {channels} numbers, one for each channel of the "
                    f"latent, got {len(numbers)}; is the config of this model?"
                )
        scale, shift = (np.broadcast_to(numbers, channels).copy() for numbers in self)
        return LatentScale(scale, shift)

    @property
    def own(self) -> Affine:
        """The map from z to the model's own latent."""
        return Affine(1 / self.scale, self.shift)

    @property
    def mu(self) -> Affine:
        """The map from the model's own mu to mu."""
        return Affine(self.scale, -self.shift * self.scale)

    @property
    def logvar(self) -> Affine:
        """The map from the model's own logvar to logvar; variances are scaled by the square."""
        return Affine(np.ones_like(self.scale), 2 * np.log(self.scale))

    @property
    def parameters(self) -> Affine:
        """The map of the model's own mu and logvar in one tensor."""
        return Affine(*(np.concatenate(pair) for pair in zip(self.mu, self.logvar, strict=True)))


def read(config: Mapping[str, Any], where: str, scaling_factor: float | None = None) -> LatentScale:
    """Return the latent's scale of a diffusers config; `scaling_factor` overrides the config's.

    z = (own - shift_factor) * scaling_factor, as in the pipelines of Stable Diffusion 3 and Flux,
    or (own - latents_mean) * scaling_factor / latents_std, as in that of Stable Diffusion XL.
    Raises `InputError` if the scale is missing, as it must not be guessed, or is stated twice.
    """
    fields = {key: config.get(key) for key in ("shift_factor", "latents_mean", "latents_std")}
    factor = config.get("scaling_factor") if scaling_factor is None else scaling_factor
    mean, std = fields["latents_mean"], fields["latents_std"]
    if factor is None and std is None:
        raise InputError(
            f"{where}: expected scaling_factor, by which the model's users scale its latents, got "
            f"none; add it to the config, or pass --scaling-factor 0.18215 (Stable Diffusion 1 and "
            f"2; XL has 0.13025; 1 where latents are not scaled): a wrong one decodes to noise"
        )
    if (mean is None) != (std is None):
        raise InputError(
            f"{where}: expected latents_mean and latents_std, or neither, got one of them; add the "
            f"other to the config"
        )
    if mean is not None and fields["shift_factor"]:
        raise InputError(
            f"{where}: expected shift_factor or latents_mean, got both; remove from the config the "
            f"one that the model's pipeline leaves out"
        )
    shift = _numbers(mean or fields["shift_factor"] or 0.0, "shift_factor or latents_mean", where)
    scale = _numbers(1.0 if factor is None else factor, "scaling_factor", where)
    scale = scale / _numbers(1.0 if std is None else std, "latents_std", where)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError(
            f"{where}: expected scaling_factor and latents_std above 0, got "
            f"{', '.join(f'{number:g}' for number in scale)} for scaling_factor / latents_std"
        )
    return LatentScale(scale, shift)


def map_input(model: ir.Model, affine: Affine) -> None:
    """Apply a map of channels to the graph's input, which keeps its name and shape."""
    (port,) = [value for value in model.graph.inputs if not value.is_initializer()]
    first = ir.Value(name=port.name, type=port.type, shape=port.shape)
    port.name = f"{port.name}.own"
    nodes, own = _nodes(model, first, affine, rank=len(port.shape or ()))
    port.replace_all_uses_with(own)
    model.graph.inputs[model.graph.inputs.index(port)] = first
    model.graph.insert_before(model.graph[0], nodes)


def map_output(model: ir.Model, value: ir.Value, affine: Affine, rank: int) -> ir.Value:
    """Return a value of `rank` axes, the batch included, after a map of its channels."""
    nodes, mapped = _nodes(model, value, affine, rank)
    model.graph.extend(nodes)
    return mapped


def _nodes(
    model: ir.Model, value: ir.Value, affine: Affine, rank: int
) -> tuple[list[ir.Node], ir.Value]:
    """Return Mul and Add, without those that change nothing, and the last one's output."""
    nodes: list[ir.Node] = []
    for kind, numbers, neutral in (("Mul", affine.scale, 1), ("Add", affine.shift, 0)):
        if (numbers != neutral).any():
            name = f"{value.name}.{kind.lower()}"
            column = numbers.astype(np.float32).reshape(-1, *[1] * (rank - 2))
            nodes.append(ir.node(kind, [value, constants.new(model, column, f"{name}.by")]))
            mapped = nodes[-1].outputs[0]
            mapped.name, mapped.type = name, value.type
            value = mapped
    return nodes, value


def _numbers(value: object, name: str, where: str) -> Doubles:
    try:
        numbers = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        numbers = np.array([math.nan])
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(f"{where}: expected {name} to be a number, or a list, got {show(value)}")
    return numbers
