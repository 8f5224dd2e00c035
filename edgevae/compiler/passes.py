"""The rewrites that make a graph faster, each kept only where it changes nothing but the time."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import onnx_ir as ir

from edgevae.compiler import parity, shapes


class Pass(NamedTuple):
    """A rewrite in place, which returns the number of places it changed."""

    name: str
    rewrite: Callable[[ir.Model], int]


class Row(NamedTuple):
    """What became of a pass: seconds before and after it, None where they were not measured."""

    name: str
    places: int
    before: float | None
    after: float | None
    kept: bool


# In the order in which they are tried.
PASSES: tuple[Pass, ...] = ()


def optimise(
    model: ir.Model, *, right: parity.Runner, items: parity.Floats, measure: bool = True
) -> tuple[ir.Model, list[Row]]:
    """The graph after every pass that is worth having, and a row for each pass.

    A pass is dropped where the graph would differ from `right`, the one that was given, by more
    than 1e-5 on `items`, at least 7 rows. The graph that comes in is left as it is.
    """
    rows = []
    for name, rewrite in PASSES:
        candidate = model.clone()
        places = rewrite(candidate)
        kept = places > 0
        if kept:
            shapes.infer(candidate)
            runner = parity.Runner(candidate, f"after {name}")
            kept = parity.difference(right, runner, items) <= parity.LIMIT
        rows.append(Row(name, places, None, None, kept))
        model = candidate if kept else model
    return model, rows


def table(passes: Mapping[str, Sequence[Row]]) -> str:
    """The passes of each role as lines of text."""
    lines = [f"{'graph':<8} {'pass':<24} {'places':>6} {'before':>10} {'after':>10}"]
    for role, rows in passes.items():
        for row in rows:
            times = f"{_shown(row.before):>10} {_shown(row.after):>10}"
            verdict = "" if row.kept else "  left out"
            lines.append(f"{role:<8} {row.name:<24} {row.places:>6} {times}{verdict}")
    return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3f} ms"
