"""Make the graphs of a role for each target, with the facts that plans need about their cost."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from edgevae.bundle import ANY, GraphEntry
from edgevae.compiler import cost, expected_outputs, measure_chunk
from edgevae.compiler.expected_outputs import Arrays
from edgevae.compiler.graphs import Floats, memory
from edgevae.compiler.measure_chunk import CALL_ROWS, Measured
from edgevae.compiler.reading import SourceGraph
from edgevae.compiler.rewrites import Row, lowered, optimise, serialised
from edgevae.compiler.targets import TARGETS, X86_64, Costs, Target
from edgevae.engine import architecture

MIN_GAIN = 1.05  # of a further graph over that of target "any", over a chunk of rows

GraphFile = tuple[GraphEntry, bytes]


class Gain(NamedTuple):
    """The speed of a target's graph as times that of "any", for a chunk of rows on one thread.

    It is the product of the gains of the passes that were kept.
    """

    target: str
    times: float
    kept: bool


class RoleGraphs(NamedTuple):
    """The float32 graphs of a role with their entries, the passes and the gains of targets."""

    files: list[GraphFile]
    passes: list[Row]
    gains: list[Gain]


def make(
    source: SourceGraph,
    normal: ir.Model,
    items: Floats,
    check: Arrays,
    targets: Sequence[Target],
    *,
    role: str,
    measure: bool,
) -> RoleGraphs:
    """Return the graph of a role for "any" and, where they gain, for further targets.

    `normal` is the normal form of `source`, as `verify` accepts it. A target's passes are compared
    with the source on random rows and `items`, and every graph with `check`, the self-check. A
    target's graph is kept if it is at least 5 % faster than that of "any" over a chunk of rows;
    that no pass slows a single row was ensured when the passes were chosen.
    """
    random = np.random.default_rng(1).standard_normal((7, *items.shape[1:]), np.float32)
    expected = source.reference.expected(np.concatenate([random, items]))
    rows = check[normal.graph.inputs[0].name or ""]
    here = TARGETS.get(architecture(), X86_64)
    plain = lowered(normal)
    expected_outputs.check(plain, check, source.where)
    files = [_file(role, ANY, plain, _facts(plain, rows, None if measure else here.costs))]
    passes: list[Row] = []
    gains: list[Gain] = []
    for target in targets:
        model, tried = optimise(normal, expected, target, measure=measure)
        passes += tried
        kept = [row.gain for row in tried if row.kept]
        if not kept:
            continue
        gains.append(Gain(target.name, math.prod(kept), math.prod(kept) >= MIN_GAIN))
        if gains[-1].kept:
            expected_outputs.check(model, check, source.where)
            costs = None if measure and target.here else target.costs
            files.append(_file(role, target.name, model, _facts(model, rows, costs)))
    return RoleGraphs(files, passes, gains)


def int8(role: str, model: ir.Model, rows: Floats, *, measure: bool) -> GraphFile:
    """Return the entry and the file of an int8 graph, whose calls have no modelled times."""
    facts = Measured(memory.modelled_chunk(model), {})
    if measure:
        facts = measure_chunk.measure(model, rows)
    return _file(role, ANY, model, facts, precision="int8")


def _facts(model: ir.Model, rows: Floats, costs: Costs | None) -> Measured:
    """Return the cost of a graph: measured on this machine, or modelled if there are `costs`."""
    if costs is None:
        return measure_chunk.measure(model, rows)
    chunk = memory.modelled_chunk(model)
    sizes = [size for size in CALL_ROWS if size <= max(1, 4 * chunk)]
    return Measured(
        chunk, {size: round(cost.microseconds(model, size, costs), 1) for size in sizes}
    )


def _file(
    role: str, target: str, model: ir.Model, facts: Measured, *, precision: str = "float32"
) -> GraphFile:
    entry = GraphEntry(
        role,
        target,
        precision,
        row_bytes=memory.row_bytes(model),
        chunk_rows=facts.chunk_rows,
        call_us=facts.call_us,
    )
    content = serialised(model)
    onnx.checker.check_model(content)
    return entry, content
