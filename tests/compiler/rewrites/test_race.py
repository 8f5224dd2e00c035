"""Passes are kept if they are measured to be faster."""

import numpy as np
import pytest
from chains import chain, weights

from edgevae.compiler.graphs import CheckSession
from edgevae.compiler.rewrites import pipeline, race
from edgevae.compiler.rewrites.race import Race

UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}


@pytest.fixture
def model():
    up = ("ConvTranspose", [weights(8, 16, 4, 4)], UP)
    return chain((8, 5, 5), up, ("Relu", [], {}))


def optimise(model, **options):
    shape = [size for size in model.graph.inputs[0].shape if isinstance(size, int)]
    items = np.random.default_rng(2).standard_normal((7, *shape), np.float32)
    answers = CheckSession(model, "given", exactly=True).expected(items)
    return pipeline.optimise(model, answers, **options)


def verdicts(rows):
    return {row.name: row.verdict for row in rows if row.places}


def test_without_a_measurement_the_cost_model_decides(model):
    """Four convolutions save the scatter of a large image; of a small one they cost a row more."""
    large = chain((32, 14, 14), ("ConvTranspose", [weights(32, 32, 4, 4)], UP))
    after, rows = optimise(large, measure=False)
    assert verdicts(rows) == {"phases": "kept"}
    assert all(row.before is None for row in rows)
    assert [row.gain > 1 for row in rows] == [row.kept for row in rows]
    assert "ConvTranspose" not in [node.op_type for node in after.graph]
    after, rows = optimise(model, measure=False)
    assert verdicts(rows)["phases"].startswith("slows a single row")
    assert "ConvTranspose" in [node.op_type for node in after.graph]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([1.5, 1.0], "kept"),
        ([1.05, 1.0], "not faster (1.05x)"),
        ([1.5, 0.8], "slows a single row (0.80x)"),
    ],
)
def test_a_pass_is_kept_where_it_is_faster_than_the_noise(model, monkeypatch, gains, verdict):
    results = iter([Race(2e-3, 1e-3, gain, noise=0.1) for gain in gains])
    monkeypatch.setattr(race, "run", lambda *_, **__: next(results))
    after, rows = optimise(model)
    assert verdicts(rows) == {"phases": verdict}
    kinds = [node.op_type for node in after.graph]
    assert ("ConvTranspose" in kinds) == (verdict != "kept")


def test_a_race_tells_which_graph_is_faster():
    import onnx_ir as ir

    layer = ("Conv", [weights(32, 32, 3, 3)], {"kernel_shape": [3, 3], "pads": [1] * 4})
    short, long = (
        ir.to_proto(chain((32, 8, 8), *[layer] * times)).SerializeToString() for times in (1, 6)
    )
    items = np.zeros((4, 32, 8, 8), np.float32)
    result = race.run(long, short, items)
    assert result.faster
    assert not result.slower
    assert race.run(short, long, items).slower
