"""Apply the rewrites that make a graph faster; keep each only if it changes nothing but time."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler import cost
from edgevae.compiler.graphs import (
    LIMIT,
    Expected,
    Floats,
    fold,
    interleave,
    memory,
    rename,
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
from edgevae.compiler.rewrites.race import Race
from edgevae.compiler.targets import X86_64, Costs, Target


class Pass(NamedTuple):
    """A rewrite in place, which returns the number of places it changed.

    Its own cost model chooses the places.
    """

    name: str
    rewrite: Callable[[ir.Model], int]


class Row(NamedTuple):
    """The result of a pass on one graph for a target.

    `gain` is how many times as fast the graph is after the pass, over a chunk of rows; 1 if it was
    not compared. `before` and `after` are the seconds per row of one thread, in chunks as
    `generate` uses them; None if the cost model decided.
    """

    target: str
    name: str
    places: int
    before: float | None
    after: float | None
    verdict: str
    gain: float = 1.0

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
    Pass("scatter", scatter_narrow.rewrite_half),
    Pass("residual", hold_residual.rewrite),
)

# Compares two graphs on a number of rows.
Compare = Callable[[ir.Model, ir.Model, int], Race]


def optimise(
    model: ir.Model, expected: Expected, target: Target = X86_64, *, measure: bool = True
) -> tuple[ir.Model, list[Row]]:
    """Return the graph after every pass that is kept for a target, and a row for each pass.

    A pass is dropped if the graph differs by more than 1e-5 from `expected`, the outputs of
    the source graph for at least 7 items; if it is not faster by more than the noise; or if it
    slows down a single row. With `measure`, a machine that is of the target races the graphs;
    otherwise the target's cost model compares them. `model` is not changed.
    """
    rows = []
    plain = lowered(model)
    raced = measure and target.here
    compare = _raced(expected.items) if raced else _modelled(target.costs)
    for name, rewrite in PASSES:
        if name not in target.passes:
            continue
        candidate = model.clone()
        row = Row(target.name, name, rewrite(candidate), None, None, "no place")
        if row.places:
            after = lowered(candidate)
            row = _judge(row, plain, after, expected, compare)
            if row.kept:
                model, plain = candidate, after
        rows.append(row if raced else row._replace(before=None, after=None))
    return plain, rows


def lowered(model: ir.Model) -> ir.Model:
    """Return a copy in plain ONNX, without Interleave nodes, whose values have new names."""
    plain = model.clone()
    interleave.lower(plain)
    fold.clean(plain)
    rename.tidy(plain)
    shapes.infer(plain)
    return plain


def serialised(model: ir.Model) -> bytes:
    """Return a graph as a file."""
    content: bytes = ir.to_proto(model).SerializeToString()
    return content


def _raced(items: Floats) -> Compare:
    """Return a function that races graphs on rows of `items`."""

    def compare(before: ir.Model, after: ir.Model, rows: int) -> Race:
        given = np.resize(items, (rows, *items.shape[1:]))
        return race.run(serialised(before), serialised(after), given)

    return compare


def _modelled(costs: Costs) -> Compare:
    """Return a function that compares graphs by a cost model."""

    def compare(before: ir.Model, after: ir.Model, rows: int) -> Race:
        one, other = (1e-6 * cost.microseconds(graph, rows, costs) for graph in (before, after))
        return Race(one, other, gain=one / other, noise=0.0)

    return compare


def _judge(
    row: Row, model: ir.Model, candidate: ir.Model, expected: Expected, compare: Compare
) -> Row:
    """Return the row of a pass that turned `model` into `candidate`, both in plain ONNX."""
    error = expected.difference_of(serialised(candidate), f"after {row.name}")
    if not error <= LIMIT:
        return row._replace(verdict=f"differs by {error:.0e}")
    chunk = min(_MAX_ROWS, memory.modelled_chunk(model))
    result = compare(model, candidate, chunk)
    before, after = result.before / chunk, result.after / chunk
    row = row._replace(before=before, after=after, gain=result.gain, verdict=_KEPT)
    if not result.faster:
        return row._replace(verdict=f"not faster ({result.gain:.2f}x)")
    if chunk > 1:
        single = compare(model, candidate, 1)
        if single.slower:
            return row._replace(verdict=f"slows a single row ({single.gain:.2f}x)")
    return row


def table(passes: Mapping[str, Sequence[Row]]) -> str:
    """Return the passes of each role for each target as lines of text; times are of one row."""
    lines = [
        f"{'graph':<11} {'target':<8} {'pass':<10} {'places':>6} {'before':>11} {'after':>11}"
        f" {'gain':>6}  verdict"
    ]
    for role, rows in passes.items():
        for row in rows:
            times = f"{_microseconds(row.before):>11} {_microseconds(row.after):>11}"
            gain = f"{row.gain:.2f}x" if row.places else "-"
            where = f"{role:<11} {row.target:<8} {row.name:<10} {row.places:>6}"
            lines.append(f"{where} {times} {gain:>6}  {row.verdict}")
    return "\n".join(lines)


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:,.1f} us"
