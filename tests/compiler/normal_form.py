"""The normal form of a graph, compared with its source as `compile` compares it."""

from pathlib import Path

import onnx_ir as ir

from edgevae.compiler.reading import Note, SourceGraph, read_source, simplify, verify


def read(source: bytes | Path, role: str = "decoder", **options) -> ir.Model:
    """Return a graph in normal form; options are those of `read_source`."""
    return of(read_source(source, role, **options), options.get("note", lambda line: None))


def of(source: SourceGraph, note: Note = lambda line: None) -> ir.Model:
    """Return the normal form of a graph that was read."""
    model = simplify(source, note)
    verify(source, model)
    return model
