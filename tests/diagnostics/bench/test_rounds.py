"""A measurement runs in fresh processes, and one whose process fails states the reason."""

import pytest

from edgevae import bundle
from edgevae.diagnostics import bench
from edgevae.errors import CheckError, ProviderError

NO_ROWS = bench.Effort(rows=())


def test_a_process_that_fails_says_why(tiny_paths):
    grey = bundle.read(tiny_paths["grey"])
    with pytest.raises(ProviderError, match="openvino"):
        bench.run_once(grey, bench.Case("edgevae", "compiled", "openvino"), NO_ROWS)
    with pytest.raises(CheckError, match="InputError"):
        bench.run_once(
            grey, bench.Case("edgevae", "compiled", "cpu"), bench.Effort(rows=(-1,), seconds=0)
        )


@pytest.mark.parametrize("name", ["grey", "colour", "vector", "classes"])
@pytest.mark.parametrize("verb", bench.cases.VERBS)
def test_both_runners_measure_every_verb(tiny_paths, name, verb):
    if (name, verb) == ("classes", "score"):
        pytest.skip("a conditional bundle is not scored without labels")
    model = bundle.read(tiny_paths[name])
    sweep = bench.Sweep(["cpu"], verbs=[verb], concurrencies=[2])
    effort = bench.Effort(rows=(3,), rounds=1, seconds=0, percentile=50)
    for report in bench.measure(model, sweep.cases(model), effort):
        assert set(report["calls"]) == {"3"}
        calls = report["calls"]["3"]
        assert len(calls["ms"]) == 2 * bench.process.LEAST  # of two callers
        assert 0 < max(calls["ms"]) <= calls["wall_ms"]
        assert calls["cpu_ms"] > 0
        # Linux counts the two apart, to within some pages.
        assert 0 < report["steady_rss_mib"] <= report["peak_rss_mib"] + 1
        assert set(report["files"]) == set(bench.process.ROLES_OF_VERBS[verb])


def test_the_plain_graph_is_run_by_both_runners(tiny_paths):
    model = bundle.read(tiny_paths["grey"])
    for runner in bench.cases.RUNNERS:
        report = bench.run_once(model, bench.Case(runner, "plain", "cpu"), NO_ROWS)
        assert report["files"] == {"decoder": model.graph("decoder").file}


def test_the_provider_options_reach_onnxruntime_alone():
    case = bench.Case("sess.run", "plain", "cpu", options=(("arena_extend_strategy", "1"),))
    name, options, plugin = bench.rounds.plain_session(case)
    assert (name, options, plugin) == (
        "CPUExecutionProvider",
        {"arena_extend_strategy": "1"},
        None,
    )


def test_processes_share_the_calls_that_a_percentile_takes():
    assert bench.Effort(percentile=99, rounds=4).calls == 250
    assert bench.Effort(percentile=99.9, rounds=3).calls == 3334


def test_the_conditions_name_every_file_of_the_bundle(tiny_paths):
    model = bundle.read(tiny_paths["grey"])
    found = bench.rounds.conditions(model, NO_ROWS)
    assert found["schema"] == bench.rounds.SCHEMA
    assert found["model"]["files"]["decoder.onnx"] == model.files["decoder.onnx"].sha256
    assert found["effort"]["warm_up_calls"] > 0
