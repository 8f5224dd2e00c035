"""Each pass, and all of them together, on random decoders."""

import itertools

import normal_form
import numpy as np
import onnx.parser
import pytest
from hypothesis import HealthCheck, event, given, settings
from random_decoders import Decoder, decoders

from edgevae.compiler import cost
from edgevae.compiler.graphs import CheckSession, shapes
from edgevae.compiler.reading import source_graph
from edgevae.compiler.rewrites import (
    hold_residual,
    merge_linear,
    pipeline,
    scatter_narrow,
    split_phases,
)

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
    """Apply a pass at every place, although the cost models would skip most of small graphs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split_phases, "_MIN_CHANNELS", 1)
        patch.setattr(scatter_narrow, "_MAX_CHANNELS", 99)
        patch.setattr(scatter_narrow, "_MAX_PRODUCTS", 1 << 30)
        patch.setattr(hold_residual, "_LANES", 1)
        patch.setattr(merge_linear, "_GROWTH", 99)
        yield


def difference(source: source_graph.SourceGraph, model: object, rows: int = 7) -> float:
    items = np.random.default_rng(3).standard_normal((rows, *source.item_shape), np.float32)
    return source.reference.expected(items).difference(CheckSession(model, "rewritten"))


def read(decoder: Decoder) -> source_graph.SourceGraph:
    return source_graph.read(decoder.graph, "decoder")


@drawn
@given(decoders())
def test_the_normal_form_of_a_random_decoder_computes_the_same(decoder):
    source = read(decoder)
    model = normal_form.of(source)
    assert source.reference.rows == decoder.batch
    assert difference(source, model) <= 1e-5
    for node in model.graph:
        assert shapes.sizes(node.outputs[0])[0] == "n"
    assert not {node.op_type for node in model.graph} & {"Identity", "Constant"}


@pytest.mark.parametrize("one", pipeline.PASSES, ids=lambda one: one.name)
@drawn
@given(decoder=decoders())
def test_a_pass_changes_nothing_that_a_random_decoder_computes(one, decoder):
    source = read(decoder)
    model = normal_form.of(source)
    event(f"{one.rewrite(model)} places")
    assert difference(source, pipeline.lowered(model)) <= 1e-5


@drawn
@given(decoders())
def test_all_passes_together_change_nothing_that_a_random_decoder_computes(decoder):
    source = read(decoder)
    model = normal_form.of(source)
    for one in pipeline.PASSES:
        one.rewrite(model)
    assert difference(source, pipeline.lowered(model)) <= 1e-5


def test_a_pass_that_changes_the_results_is_left_out(monkeypatch):
    """The pass of this test replaces the last activation by another."""

    def wrong(model):
        model.graph.outputs[0].producer().op_type = "Tanh"
        return 1

    def right(model):
        return 2

    monkeypatch.setattr(
        pipeline, "PASSES", (pipeline.Pass("linear", wrong), pipeline.Pass("narrow", right))
    )
    modelled = itertools.count(100, -10)  # each graph is faster than the one before
    monkeypatch.setattr(cost, "microseconds", lambda *_: next(modelled))
    source = source_graph.read(LINEAR, "decoder")
    before = normal_form.of(source)
    model, rows = pipeline.optimise(
        before, source.reference.expected(np.ones((7, 2), np.float32)), measure=False
    )
    assert [(row.name, row.places, row.kept) for row in rows] == [
        ("linear", 1, False),
        ("narrow", 2, True),
    ]
    assert model.graph.outputs[0].producer().op_type == "Sigmoid"
    assert before.graph.outputs[0].producer().op_type == "Sigmoid"
