"""Read the graphs of all roles and check that they are of one model."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgevae.compiler.graphs import Floats
from edgevae.compiler.reading import Note, SourceGraph, read_source
from edgevae.errors import InputError

Source = bytes | str | os.PathLike[str]


def read(
    decoder: Source,
    others: Mapping[str, Source | None],
    outputs: Mapping[str, Sequence[str]],
    *,
    size: Sequence[int],
    classes: int,
    point: bool,
    note: Note,
) -> dict[str, SourceGraph]:
    """Return the graph of each role, the decoder first.

    `others` are the graphs of the roles "encoder" and "activations"; None for no graph.
    `outputs` are the names of outputs that callers chose, by role. Other arguments are those of
    `read_source`. Raises `InputError` if a graph is not one of its role, or takes or returns
    another x than the decoder's.
    """
    sources = {
        "decoder": read_source(
            _path(decoder),
            "decoder",
            outputs=outputs.get("decoder", ()),
            size=size,
            classes=classes,
            note=note,
        )
    }
    x_shape, z_shape = sources["decoder"].output_shape, sources["decoder"].item_shape
    for role, graph in others.items():
        if graph is not None:
            sources[role] = read_source(
                _path(graph),
                role,
                outputs=outputs.get(role, ()),
                latent_shape=z_shape,
                x_shape=x_shape,
                point=point,
                note=note,
            )
            _check_x(sources[role], x_shape)
    return sources


def check_mu(encoder: SourceGraph, x: Floats, latent_shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless mu and logvar of the encoder have the shape of the decoder's z."""
    for port, value in zip(("mu", "logvar"), encoder.reference.run(x), strict=True):
        if value.shape[1:] != latent_shape:
            raise InputError(
                f"{encoder.where}: expected {port} of the decoder's z, {latent_shape}, got "
                f"{value.shape[1:]}; name the outputs (--outputs MU LOGVAR) or export both graphs "
                f"from one model"
            )


def _path(source: Source) -> bytes | Path:
    return source if isinstance(source, bytes) else Path(source)


def _check_x(source: SourceGraph, x_shape: tuple[int, ...]) -> None:
    if source.item_shape != x_shape:
        raise InputError(
            f"{source.where}: expected a graph of the x that the decoder returns, {x_shape}, got "
            f"one of {source.item_shape}; are they of one model?"
        )
