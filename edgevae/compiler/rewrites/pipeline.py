"""Apply the rewrites that make a graph faster; keep each only if it changes nothing but time."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import (
    LIMIT,
    CheckSession,
    Expected,
    Floats,
    fold,
    interleave,
    memory,
    shapes,
)
from edgevae.compiler.rewrites import (
    hold_residual,
    merge_linear,
    race,
    scatter_narrow,
    split_phases,
    split_upsample,
)
from edgevae.compiler.targets import X86_64, Target


class Pass(NamedTuple):
    """A rewrite in place, which returns the number of places it changed.

    Its own cost model chooses the places.
    """

    name: str
    rewrite: Callable[[ir.Model], int]


class Row(NamedTuple):
    """The result of a pass on one graph for a target.

    `before` and `after` are the seconds per row of one thread, in chunks as `generate` uses
    them; None if the cost model alone decided.
    """

    target: str
    name: str
    places: int
    before: float | None
    after: float | None
    verdict: str

    @property
    def kept(self) -> bool:
        """True if the rewritten graph is used."""
        return self.verdict == _KEPT


_KEPT = "kept"
_MAX_ROWS = 32  # of a race; more rows take longer and show nothing new

# In the order in which they are tried; each pass sees the graph that those before it left.
PASSES = (
    Pass("linear", merge_linear.rewrite),
    Pass("phases", split_phases.rewrite),
    Pass("upsample", split_upsample.rewrite),
    Pass("narrow", scatter_narrow.rewrite),
    Pass("residual", hold_residual.rewrite),
)


def optimise(
    model: ir.Model, expected: Expected, target: Target = X86_64, *, measure: bool = True
) -> tuple[ir.Model, list[Row]]:
    """Return the graph after every pass that is kept for a target, and a row for each pass.

    A pass is dropped if the graph differs by more than 1e-5 from `expected`, the outputs of
    the source graph for at least 7 items. With `measure`, if this machine can run graphs as the
    target does, it is also dropped if it is not faster by more than the noise, or slows down a
    single row. `model` is not changed.
    """
    rows = []
    plain = lowered(model)
    disabled = target.disabled if measure else None
    for name, rewrite in PASSES:
        if name in target.without:
            continue
        candidate = model.clone()
        row = Row(target.name, name, rewrite(candidate), None, None, "no place")
        if row.places:
            after = lowered(candidate)
            row = _judge(row, plain, after, expected, disabled)
            if row.kept:
                model, plain = candidate, after
        rows.append(row)
    return plain, rows


def lowered(model: ir.Model) -> ir.Model:
    """Return a copy in plain ONNX, without Interleave nodes."""
    plain = model.clone()
    interleave.lower(plain)
    fold.clean(plain)
    shapes.infer(plain)
    return plain


def _judge(
    row: Row,
    model: ir.Model,
    candidate: ir.Model,
    expected: Expected,
    disabled: Sequence[str] | None,
) -> Row:
    """Return the row of a pass that turned `model` into `candidate`, both in plain ONNX.

    They race without the `disabled` optimizers, or not at all for None.
    """
    before, after = (ir.to_proto(graph).SerializeToString() for graph in (model, candidate))
    error = expected.difference(CheckSession(after, f"after {row.name}"))
    if not error <= LIMIT:
        return row._replace(verdict=f"differs by {error:.0e}")
    row = row._replace(verdict=_KEPT)
    if disabled is None:
        return row
    many = race_rows(model, expected.items)
    chunk = len(many)
    result = race.run(before, after, many, disabled)
    row = row._replace(before=result.before / chunk, after=result.after / chunk)
    if not result.faster:
        return row._replace(verdict=f"not faster ({result.gain:.2f}x)")
    single = race.run(before, after, expected.items[:1], disabled)
    if single.slower:
        return row._replace(verdict=f"slows a single row ({single.gain:.2f}x)")
    return row


def race_rows(model: ir.Model, items: Floats) -> Floats:
    """Return the items repeated to as many rows as graphs race on, a chunk or 32."""
    chunk = min(_MAX_ROWS, memory.modelled_chunk(model))
    return np.resize(items, (chunk, *items.shape[1:]))


def table(passes: Mapping[str, Sequence[Row]]) -> str:
    """Return the passes of each role for each target as lines of text; times are of one row."""
    lines = [
        f"{'graph':<11} {'target':<8} {'pass':<10} {'places':>6} {'before':>11} {'after':>11}"
        f"  verdict"
    ]
    for role, rows in passes.items():
        for row in rows:
            times = f"{_microseconds(row.before):>11} {_microseconds(row.after):>11}"
            where = f"{role:<11} {row.target:<8} {row.name:<10} {row.places:>6}"
            lines.append(f"{where} {times}  {row.verdict}")
    return "\n".join(lines)


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:,.1f} us"
