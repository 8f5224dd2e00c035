"""Compile the graphs of a bundle again, for other targets or on another machine."""

import json
import os
from pathlib import Path

from edgevae import bundle
from edgevae.bundle import MANIFEST, Bundle, Description
from edgevae.compiler.compile import Compiled, compile
from edgevae.compiler.options import Extras, Options

_DEFAULT_OPTIONS = Options()


def recompile(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    replace: bool = False,
    options: Options = _DEFAULT_OPTIONS,
) -> Compiled:
    """Compile the float32 graphs of target "any" in a bundle again; carry over everything else.

    `folder` may be `out` too, with `replace`. The prior, self-check, statistics, calibration,
    table for denoising, tiles and description of the bundle stay; the graphs for other targets
    are compiled again, and int8 graphs are written only with `options.int8`. The other arguments
    and the errors are those of `compile`.

    A bundle of schema 1 has no graph in normal form: those that were compiled may have been
    rewritten for the processor that compiled them. They become the graphs of target "any", as they
    are; to undo the rewrites, compile the original graphs.
    """
    source = bundle.read(folder)
    manifest = json.loads((source.path / MANIFEST).read_bytes())
    notes = []
    if manifest["schema"] == 1:
        notes.append(
            "a bundle of schema 1, whose graphs may have been rewritten for the processor that "
            "compiled them: they are the graphs for any now; compile the original graphs for better"
        )
    if options.int8 is None and "int8" in source.precisions:
        notes.append("its int8 graphs are left out; --int8 makes them again")
    graphs = {role: (source.path / source.graph(role).file).read_bytes() for role in source.roles}
    compiled = compile(
        graphs["decoder"],
        graphs.get("encoder"),
        out=out,
        replace=replace,
        description=_description(source, manifest["likelihood"]),
        prior=source.mixture(),
        extras=Extras(
            activations=graphs.get("activations"),
            selfcheck=source.selfcheck(),
            tiles=source.tiles,
            arrays=source.further_arrays(),
            calibration=source.calibration,
        ),
        options=options,
    )
    return compiled._replace(notes=[*notes, *compiled.notes])


def is_bundle(folder: str | os.PathLike[str]) -> bool:
    """Return True if a folder holds a bundle."""
    return (Path(folder) / MANIFEST).is_file()


def _description(source: Bundle, likelihood: dict[str, object]) -> Description:
    """Return the description of a bundle, with the likelihood as its manifest states it."""
    names = Description.__dataclass_fields__
    return Description(
        **{name: getattr(source, name) for name in names} | {"likelihood": likelihood}
    )
