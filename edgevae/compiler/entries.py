"""Make the graphs of a role for each target, with the facts that plans need about their cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from edgevae.bundle import ANY, GraphEntry
from edgevae.compiler import cost, expected_outputs, measure_chunk
from edgevae.compiler.expected_outputs import Arrays
from edgevae.compiler.graphs import LIMIT, CheckSession, Expected, Floats, memory, rename
from edgevae.compiler.measure_chunk import CALL_ROWS, Measured
from edgevae.compiler.reading import SourceGraph
from edgevae.compiler.rewrites import Row, lowered, optimise, race, race_rows
from edgevae.compiler.targets import TARGETS, X86_64, Target
from edgevae.engine import architecture
from edgevae.errors import CheckError

MIN_GAIN = 1.05  # of a further graph over that of target "any", over a chunk of rows

GraphFile = tuple[GraphEntry, bytes]


class Gain(NamedTuple):
    """The speed of a target's graph as times that of "any", for a chunk of rows on one thread."""

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

    `normal` is the normal form of `source`. Every graph is compared with the source on random rows
    and `items`, and with the outputs of `check`, the self-check. A target's graph is kept if it is
    at least 5 % faster than that of "any" over a chunk of rows; that no pass slows a single row
    was ensured when the passes were chosen.
    """
    random = np.random.default_rng(1).standard_normal((7, *items.shape[1:]), np.float32)
    expected = source.reference.expected(np.concatenate([random, items]))
    rows = check[normal.graph.inputs[0].name or ""]
    here = TARGETS.get(architecture(), X86_64)
    plain = lowered(normal)
    _finish(plain, source, expected, check)
    files = [_file(role, ANY, plain, _facts(plain, rows, here, () if measure else None))]
    passes: list[Row] = []
    gains: list[Gain] = []
    for target in targets:
        model, tried = optimise(normal, expected, target, measure=measure)
        passes += tried
        if not any(row.kept for row in tried):
            continue
        _finish(model, source, expected, check)
        disabled = target.disabled if measure else None
        times = _times(plain, model, rows, target, disabled)
        gains.append(Gain(target.name, times, times >= MIN_GAIN))
        if gains[-1].kept:
            files.append(_file(role, target.name, model, _facts(model, rows, target, disabled)))
    return RoleGraphs(files, passes, gains)


def int8(role: str, model: ir.Model, rows: Floats, *, measure: bool) -> GraphFile:
    """Return the entry and the file of an int8 graph, whose calls have no modelled times."""
    facts = Measured(memory.modelled_chunk(model), {})
    if measure:
        facts = measure_chunk.measure(model, rows)
    return _file(role, ANY, model, facts, precision="int8")


def _finish(model: ir.Model, source: SourceGraph, expected: Expected, check: Arrays) -> None:
    """Name the values of a graph; raise `CheckError` if it differs from its source."""
    rename.tidy(model)
    error = expected.difference(CheckSession(model, source.where))
    if not error <= LIMIT:
        raise CheckError(
            f"{source.where}: expected the compiled graph to differ by at most {LIMIT} from its "
            f"source, got {error:.1e}; no bundle was written"
        )
    expected_outputs.check(model, check, source.where)


def _times(
    plain: ir.Model,
    model: ir.Model,
    items: Floats,
    target: Target,
    disabled: Sequence[str] | None,
) -> float:
    """Return how many times as fast as `plain` a target's graph is, over a chunk of rows."""
    many = race_rows(plain, items)
    if disabled is None:
        before, after = (
            cost.microseconds(graph, len(many), target.costs) for graph in (plain, model)
        )
        return before / after
    return race.run(serialised(plain), serialised(model), many, disabled).gain


def _facts(
    model: ir.Model, rows: Floats, target: Target, disabled: Sequence[str] | None
) -> Measured:
    """Return the cost of a graph, by the model of a target if `disabled` is None."""
    if disabled is not None:
        return measure_chunk.measure(model, rows, disabled=disabled)
    chunk = memory.modelled_chunk(model)
    sizes = [size for size in CALL_ROWS if size <= max(1, 4 * chunk)]
    return Measured(
        chunk, {size: round(cost.microseconds(model, size, target.costs), 1) for size in sizes}
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
    return entry, serialised(model)


def serialised(model: ir.Model) -> bytes:
    """Return a graph as a file, checked by onnx."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content
