"""The rewrites that make a graph faster, each kept only where it changes nothing but the time."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler import memory as footprint
from edgevae.compiler.graphs import fold, interleave, parity, shapes
from edgevae.compiler.rewrites import hold_residual as residual
from edgevae.compiler.rewrites import merge_linear as linear
from edgevae.compiler.rewrites import race
from edgevae.compiler.rewrites import scatter_narrow as narrow
from edgevae.compiler.rewrites import split_phases as phases
from edgevae.compiler.rewrites import split_upsample as upsample


class Pass(NamedTuple):
    """A rewrite in place, which returns the number of places it changed.

    Its own cost model chooses the places.
    """

    name: str
    rewrite: Callable[[ir.Model], int]


class Row(NamedTuple):
    """What became of a pass. `before` and `after` are seconds a row of one thread's work, in
    chunks as `generate` has them; None where the cost model alone decided."""

    name: str
    places: int
    before: float | None
    after: float | None
    verdict: str

    @property
    def kept(self) -> bool:
        return self.verdict == _KEPT


_KEPT = "kept"
_MOST_ROWS = 32  # in a race: more take longer, and tell no more

# In the order in which they are tried: each sees what those before it have left.
PASSES = (
    Pass("linear", linear.rewrite),
    Pass("phases", phases.rewrite),
    Pass("upsample", upsample.rewrite),
    Pass("narrow", narrow.rewrite),
    Pass("residual", residual.rewrite),
)


def optimise(
    model: ir.Model, answers: parity.Answers, *, measure: bool = True
) -> tuple[ir.Model, list[Row]]:
    """The graph after every pass that is worth having, and a row for each pass.

    A pass is dropped where the graph would differ by more than 1e-5 from `answers`, those of the
    graph that was given to at least 7 items; and, if `measure`, where it is not faster by more
    than the noise, or slows down a single row. The graph that comes in is left as it is.
    """
    rows = []
    plain = lowered(model)
    for name, rewrite in PASSES:
        candidate = model.clone()
        row = Row(name, rewrite(candidate), None, None, "no place")
        if row.places:
            after = lowered(candidate)
            row = _judge(row, plain, after, answers, measure)
            if row.kept:
                model, plain = candidate, after
        rows.append(row)
    return plain, rows


def lowered(model: ir.Model) -> ir.Model:
    """A copy in plain ONNX."""
    plain = model.clone()
    interleave.lower(plain)
    fold.clean(plain)
    shapes.infer(plain)
    return plain


def _judge(
    row: Row, model: ir.Model, candidate: ir.Model, answers: parity.Answers, measure: bool
) -> Row:
    """What becomes of a pass that made `candidate` of `model`, both in plain ONNX."""
    before, after = (ir.to_proto(graph).SerializeToString() for graph in (model, candidate))
    error = answers.difference(parity.Runner(after, f"after {row.name}"))
    if not error <= parity.LIMIT:
        return row._replace(verdict=f"differs by {error:.0e}")
    row = row._replace(verdict=_KEPT)
    if not measure:
        return row
    chunk = min(_MOST_ROWS, footprint.modelled_chunk(model))
    many = np.resize(answers.items, (chunk, *answers.items.shape[1:]))
    result = race.run(before, after, many)
    row = row._replace(before=result.before / chunk, after=result.after / chunk)
    if not result.faster:
        return row._replace(verdict=f"not faster ({result.gain:.2f}x)")
    single = race.run(before, after, answers.items[:1])
    if single.slower:
        return row._replace(verdict=f"slows a single row ({single.gain:.2f}x)")
    return row


def table(passes: Mapping[str, Sequence[Row]]) -> str:
    """The passes of each role as lines of text: times are of one row."""
    lines = [f"{'graph':<8} {'pass':<10} {'places':>6} {'before':>11} {'after':>11}  verdict"]
    for role, rows in passes.items():
        for row in rows:
            times = f"{_shown(row.before):>11} {_shown(row.after):>11}"
            lines.append(f"{role:<8} {row.name:<10} {row.places:>6} {times}  {row.verdict}")
    return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:,.1f} us"
