"""The graphs of a role: that for any always, others where they gain."""

import numpy as np
import onnx
import onnx_ir
import pytest
from chains import chain, weights

from edgevae.compiler import cost, entries, targets
from edgevae.compiler.reading import read_source, simplify
from edgevae.compiler.rewrites import race
from edgevae.compiler.rewrites.race import Race

UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
NARROW = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


@pytest.fixture
def make():
    """Return the graphs of a decoder with a transposed convolution and one to few channels."""
    up = ("ConvTranspose", [weights(8, 16, 4, 4)], UP)
    narrow = ("Conv", [weights(1, 16, 3, 3)], NARROW)
    model = chain((8, 5, 5), up, ("Relu", [], {}), narrow)
    model.graph.inputs[0].name, model.graph.outputs[0].name = "z", "x_hat"
    source = read_source(onnx_ir.to_proto(model).SerializeToString(), "decoder")
    z = np.random.default_rng(2).standard_normal((7, 8, 5, 5), np.float32)
    check = {"z": z, "x_hat": source.reference.run(z)[0]}

    def make(*chosen, measure=False):
        normal = simplify(source, lambda _: None)
        return entries.make(source, normal, z, check, chosen, role="decoder", measure=measure)

    return make


def named(graphs):
    return [entry.target for entry, _ in graphs.files]


def test_the_graph_for_any_has_no_pass(make):
    ((entry, graph),) = make().files
    assert entry.key == ("decoder", "any", "float32")
    assert "ConvTranspose" in [node.op_type for node in onnx.load_from_string(graph).graph.node]
    assert entry.row_bytes > 0
    assert entry.chunk_rows > 0
    assert entry.call_us[1] < entry.call_us[16] < entry.call_us[256]


@pytest.mark.parametrize(("gain", "kept"), [(1.06, True), (1.04, False)])
def test_a_graph_is_kept_from_5_percent_on(make, monkeypatch, gain, kept):
    rows = {"any": 100.0, "x86_64": 100.0 / gain}

    def microseconds(model, count, costs):
        phases = "ConvTranspose" not in [node.op_type for node in model.graph][:1]
        return rows["x86_64" if phases else "any"]

    monkeypatch.setattr(cost, "microseconds", microseconds)
    graphs = make(targets.X86_64)
    assert named(graphs) == ["any", *(["x86_64"] if kept else [])]
    assert [(each.target, each.kept) for each in graphs.gains] == [("x86_64", kept)]
    assert graphs.gains[0].times == pytest.approx(gain)


def test_a_machine_races_for_its_own_target_and_models_others(make, monkeypatch):
    monkeypatch.setattr(targets, "architecture", lambda: "x86_64")
    raced = []

    def run(before, after, items):
        raced.append(len(items))
        return Race(2e-3, 1e-3, 2.0, noise=0.1)

    monkeypatch.setattr(race, "run", run)
    graphs = make(targets.AARCH64, measure=True)
    assert {row.name for row in graphs.passes} == targets.AARCH64.passes
    assert not raced
    assert named(graphs) == ["any", "aarch64"]
    graphs = make(targets.X86_64, measure=True)
    assert raced == [32, 1] * 2
    assert named(graphs) == ["any", "x86_64"]
    assert graphs.gains[0].times == 4.0


def test_times_for_another_target_are_modelled(make):
    (_, (entry, graph)) = make(targets.AARCH64, measure=True).files
    costs = targets.AARCH64.costs
    modelled = cost.microseconds(onnx_ir.from_proto(onnx.load_from_string(graph)), 16, costs)
    assert entry.call_us[16] == pytest.approx(modelled, abs=0.1)


def test_linear_alone_is_tried_for_other_providers(make):
    graphs = make(targets.GENERIC_TARGET)
    assert [row.name for row in graphs.passes] == ["linear"]
    assert named(graphs) == ["any"]
