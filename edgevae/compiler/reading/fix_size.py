"""Fix the height and width of graphs that take any.

A bundle has one size. Callers name it in pixels of x; the decoder's factor, by which it enlarges
latents, is measured by running it on a small latent.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import CheckSession, shapes
from edgevae.compiler.reading.ports import Note
from edgevae.errors import InputError, show

Shape = tuple[int, ...]

_TRIAL = 8  # rows and columns of the small latent


def has_any_size(port: ir.Value) -> bool:
    """Return True if a port has a fixed number of channels and any height or width."""
    dims = list(port.shape or ())
    known = [isinstance(size, int) for size in dims]
    return len(dims) == 4 and known[1] and not all(known[2:])


def fix_decoder(
    model: ir.Model, z: ir.Value, channels: int, size: object, where: str, note: Note
) -> Shape:
    """Fix the shape of z and return it, without the batch.

    `size` is the height and width of x_hat in pixels, one number or a sequence of one or two; it
    is used where z has any height or width. Raises `InputError` if it is missing or not a
    multiple of the factor by which the decoder enlarges.
    """
    sides = dims(z, where)[1:]
    if None in sides:
        trial = [side or _TRIAL for side in sides]
        wanted = height_and_width(size, where)
        pixels = output_shape(model, where, (channels, *trial))[1:]
        factors = [large // small for large, small in zip(pixels, trial, strict=True)]
        sides = [
            side or _divided(length, factor, where)
            for side, length, factor in zip(sides, wanted, factors, strict=True)
        ]
        note(f"size: {wanted[0]} x {wanted[1]}, so that latents have {sides[0]} x {sides[1]}")
    z_shape = (channels, *(side for side in sides if side))
    fix(model, z, z_shape)
    return z_shape


def check(size: object, x_shape: Shape, where: str) -> None:
    """Raise `InputError` if a size was asked for, and x_hat has another."""
    if size and height_and_width(size, where) != x_shape[1:]:
        raise InputError(
            f"{where}: expected a decoder to {size} pixels, got one that was exported for "
            f"{x_shape[1:]} alone; leave out --size, or export it with free sizes"
        )


def dims(value: ir.Value, where: str) -> list[int | None]:
    """Return channels, height and width of a port, None if they are free."""
    sizes = list(value.shape or ())
    if len(sizes) != 4:
        raise InputError(
            f"{where}: expected {value.name} of images (batch, channels, height, width), got "
            f"{len(sizes)} axes; video and audio are not supported"
        )
    return [size if isinstance(size, int) else None for size in sizes[1:]]


def height_and_width(size: object, where: str) -> tuple[int, int]:
    """Return a size, one positive integer or a sequence of one or two, as height and width."""
    numbers = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size]
    sides = [side for side in numbers if isinstance(side, int) and side > 0]
    if len(sides) not in (1, 2) or len(sides) != len(numbers):
        raise InputError(
            f"{where}: expected a size, since the graph takes any and a bundle has one, got "
            f"{show(size)}; pass --size 256, or --size 256 384 for height and width"
        )
    return sides[0], sides[-1]


def fix(model: ir.Model, port: ir.Value, shape: Shape) -> None:
    """Set the shape of an input, without the batch, and forget the shapes of other values."""
    batch = port.shape[0] if port.shape is not None else None
    port.shape = ir.Shape([batch, *shape])
    forget(model)


def forget(model: ir.Model) -> None:
    """Remove the shapes that the exporter noted for any height and width."""
    shapes.forget(model)
    for output in model.graph.outputs:
        if output.dtype is None:  # unknown of a value from within the graph
            output.type = ir.TensorType(ir.DataType.FLOAT)
        rank = 4 if output.shape is None else len(output.shape)
        output.shape = ir.Shape([None] * rank)


def output_shape(model: ir.Model, where: str, shape: Shape) -> Shape:
    """Return the shape of the first output for an item of this shape, both without the batch."""
    session = CheckSession(model, where, exactly=True)
    return session.run(np.zeros((1, *shape), np.float32))[0].shape[1:]


def _divided(length: int, factor: int, where: str) -> int:
    if length % factor:
        raise InputError(
            f"{where}: expected a size that is a multiple of {factor}, by which the decoder "
            f"enlarges, got {length}; pass --size {max(1, round(length / factor)) * factor}"
        )
    return length // factor
