"""Each pass, and all of them together, on random decoders."""

import numpy as np
import onnx.parser
import pytest
from hypothesis import HealthCheck, event, given, settings
from random_decoders import Decoder, decoders

from edgevae.compiler.graphs import parity, shapes
from edgevae.compiler.reading import normalise as front
from edgevae.compiler.rewrites import hold_residual as residual
from edgevae.compiler.rewrites import merge_linear as linear
from edgevae.compiler.rewrites import pipeline as passes
from edgevae.compiler.rewrites import scatter_narrow as narrow
from edgevae.compiler.rewrites import split_phases as phases

LINEAR = onnx.parser.parse_model("""
    <ir_version: 8, opset_import: ["": 18]>
    decoder (float[n,2] z) => (float[n,2] x_hat) {
        y = Mul(z, z)
        x_hat = Sigmoid(y)
    }
""").SerializeToString()
drawn = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True, scope="module")
def every_place_is_worth_it():
    """The cost models leave most places of small graphs alone; here none may be wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phases, "_FEW", 1)
        patch.setattr(narrow, "_FEW", 99)
        patch.setattr(residual, "_LANES", 1)
        patch.setattr(linear, "_GROWTH", 99)
        yield


def difference(given: front.Given, model: object, rows: int = 7) -> float:
    items = np.random.default_rng(3).standard_normal((rows, *given.item_shape), np.float32)
    return given.right.answers(items).difference(parity.Runner(model, "rewritten"))


def read(decoder: Decoder) -> front.Given:
    return front.given(decoder.graph, "decoder")


@drawn
@given(decoders())
def test_the_normal_form_of_a_random_decoder_computes_the_same(decoder):
    given = read(decoder)
    model = front.normal(given)
    assert given.right.rows == decoder.batch
    assert difference(given, model) <= 1e-5
    for node in model.graph:
        assert shapes.sizes(node.outputs[0])[0] == "n"
    assert not {node.op_type for node in model.graph} & {"Identity", "Constant"}


@pytest.mark.parametrize("one", passes.PASSES, ids=lambda one: one.name)
@drawn
@given(decoder=decoders())
def test_a_pass_changes_nothing_that_a_random_decoder_computes(one, decoder):
    given = read(decoder)
    model = front.normal(given)
    event(f"{one.rewrite(model)} places")
    assert difference(given, passes.lowered(model)) <= 1e-5


@drawn
@given(decoders())
def test_all_passes_together_change_nothing_that_a_random_decoder_computes(decoder):
    given = read(decoder)
    model = front.normal(given)
    for one in passes.PASSES:
        one.rewrite(model)
    assert difference(given, passes.lowered(model)) <= 1e-5


def test_a_pass_that_changes_the_results_is_left_out(monkeypatch):
    """Here one that turns the last activation into another."""

    def wrong(model):
        model.graph.outputs[0].producer().op_type = "Tanh"
        return 1

    def right(model):
        return 2

    monkeypatch.setattr(
        passes, "PASSES", (passes.Pass("wrong", wrong), passes.Pass("right", right))
    )
    given = front.given(LINEAR, "decoder")
    before = front.normal(given)
    model, rows = passes.optimise(
        before, given.right.answers(np.ones((7, 2), np.float32)), measure=False
    )
    assert [(row.name, row.places, row.kept) for row in rows] == [
        ("wrong", 1, False),
        ("right", 2, True),
    ]
    assert model.graph.outputs[0].producer().op_type == "Sigmoid"
    assert before.graph.outputs[0].producer().op_type == "Sigmoid"
