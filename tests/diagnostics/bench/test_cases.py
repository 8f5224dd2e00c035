"""The cases of a sweep: the baselines and what is compared with them."""

from dataclasses import replace

import pytest

from edgevae import bundle
from edgevae.bundle import GraphEntry
from edgevae.diagnostics import bench
from edgevae.engine import targets
from edgevae.errors import InputError


@pytest.fixture
def grey(tiny_paths):
    return bundle.read(tiny_paths["grey"])


@pytest.fixture
def compiled(grey):
    """A bundle whose decoder has a graph for this machine's CPU, and an int8 one."""
    entries = (
        GraphEntry("decoder", targets("cpu")[0], "float32", "decoder.here.onnx"),
        GraphEntry("decoder", "any", "int8", "decoder.int8.onnx"),
    )
    return replace(grey, graphs=(*grey.graphs, *entries))


def kinds(cases):
    return [(case.runner, case.graph, case.precision) for case in cases]


def test_a_baseline_comes_first_and_the_gain_of_compiling_shows(compiled):
    cases = bench.Sweep(["cpu"], precisions=["float32", "int8"]).cases(compiled)
    assert kinds(cases) == [
        ("sess.run", "plain", "float32"),
        ("sess.run", "compiled", "float32"),
        ("edgevae", "compiled", "float32"),
        ("sess.run", "compiled", "int8"),
        ("edgevae", "compiled", "int8"),
    ]
    assert {case.baseline for case in cases} == {cases[0]}
    assert [bench.cases.files(compiled, case)["decoder"].name for case in cases[:2]] == [
        "decoder.onnx",
        "decoder.here.onnx",
    ]


def test_onnxruntime_does_not_run_the_plain_graph_twice(grey):
    cases = bench.Sweep(["cpu"], graphs=["plain", "compiled"]).cases(grey)
    assert kinds(cases) == [
        ("sess.run", "plain", "float32"),
        ("edgevae", "plain", "float32"),
        ("edgevae", "compiled", "float32"),
    ]


def test_each_setting_has_a_baseline_of_its_own(grey):
    cases = bench.Sweep(
        ["cpu", "cuda"],
        verbs=["generate", "encode"],
        threads=[1, 2],
        concurrencies=[1, 4],
        options={"cuda": {"device_id": "1"}},
    ).cases(grey)
    assert len(cases) == 2 * 16
    assert len({case.baseline for case in cases}) == 16
    assert {(case.provider, case.options) for case in cases} == {
        ("cpu", ()),
        ("cuda", (("device_id", "1"),)),
    }


def test_bf16_runs_the_float32_graph(grey):
    cases = bench.Sweep(["openvino"], precisions=["bf16"]).cases(grey)
    assert [case.precision for case in cases] == ["float32", "bf16", "bf16"]
    assert len({bench.cases.files(grey, case)["decoder"] for case in cases}) == 1


def test_a_verb_needs_the_roles_that_it_runs(grey):
    decoder = replace(grey, graphs=tuple(e for e in grey.graphs if e.role == "decoder"))
    with pytest.raises(InputError, match=r"'reconstruct' needs .* has no encoder"):
        bench.Sweep(["cpu"], verbs=["reconstruct"]).cases(decoder)


def test_a_case_is_read_back_from_json():
    case = bench.Case("edgevae", "plain", "cpu", "int8", "score", 2, 3, (("a", "b"),))
    assert bench.Case.from_json({**case.as_json(), "processes": 5}) == case
