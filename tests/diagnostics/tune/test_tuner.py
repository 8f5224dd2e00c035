"""A tuner measures what passes the self-check, refuses the rest, and finds the fastest."""

import pytest

import edgevae
from edgevae import bundle
from edgevae.diagnostics.tune import Tuner, candidates, table
from edgevae.diagnostics.tune.candidates import Candidate
from edgevae.diagnostics.tune.rates import Division
from edgevae.diagnostics.tune.role import RoleTimes
from edgevae.engine import providers, targets, tuned

HERE = targets("cpu")[0]

pytestmark = pytest.mark.usefixtures("short_measurements")


def tune(opened, *arguments, **options) -> Tuner:
    """Return a tuner after its steps, each of which it foresaw."""
    tuner = Tuner(opened, *arguments, threads=2, seconds=0, **options)
    assert len([*tuner.steps()]) <= tuner.most_steps
    return tuner


def test_every_role_of_a_bundle_gets_a_plan(tiny_paths):
    tuner = tune(bundle.read(tiny_paths["classes"]), ["cpu"])
    (setting,) = tuner.tuning().settings
    assert [*setting.plans] == ["decoder", "encoder"]
    for role, plan in setting.plans.items():
        detail = tuner.roles[role].details["cpu", "float32"]
        division = Division(plan.chunk, plan.workers, plan.threads)
        assert plan.rows_per_second == detail.divisions[division]
        planned = edgevae.load(tiny_paths["classes"], "cpu", 2).plan(role)
        few = {0, plan.chunk, *detail.few_rows}
        assert plan.single_call_rows in {planned.single_call_rows, *few}
        assert detail.kept == (plan[1:6] == (
            planned.chunk, planned.single_call_rows, planned.workers, planned.threads,
            planned.worker_rows,
        ))  # fmt: skip
        assert (plan.workers, plan.threads) in {(2, 1), (1, 2)}


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_wrong_and_the_broken_are_refused_and_the_others_go_on(several, monkeypatch):
    monkeypatch.setattr(providers, "available", lambda: ["ghost", "cpu"])
    tuner = tune(several)
    assert {candidate[:2] for candidate in tuner.refused} == {
        ("cpu", "float32"),
        ("ghost", "float32"),
        ("ghost", "int8"),
    }
    assert "differs from PyTorch's" in tuner.refused[Candidate("cpu", "float32", HERE)]
    assert "ghost" in tuner.refused[Candidate("ghost", "float32", "any")]
    tuning = tuner.tuning(min_psnr=30.0)
    assert [(each.provider, each.precision, each.psnr) for each in tuning.settings] == [
        ("cpu", "float32", None),
        ("cpu", "int8", 36.0),
    ]
    assert {plan.target for each in tuning.settings for plan in each.plans.values()} == {"any"}
    assert tuning.compared == ("cpu", "ghost")
    verdicts = {each[:4]: each.verdict for each in tuning.measured}
    assert verdicts["all", "cpu", "float32", HERE].startswith("refused: x_hat differs")
    assert "of the fastest graph" in verdicts["decoder", "cpu", "float32", "any"]


def test_an_exception_of_any_kind_refuses_one_candidate(several, monkeypatch):
    check = candidates.verify_runner

    def verify(runner):
        if runner.precision == "int8":
            raise ValueError("a crash\nin two lines")
        return check(runner)

    monkeypatch.setattr(candidates, "verify_runner", verify)
    tuner = tune(several, ["cpu"])
    assert tuner.refused[Candidate("cpu", "int8", "any")] == "a crash in two lines"
    assert [each.precision for each in tuner.tuning().settings] == ["float32"]


def test_a_graph_that_fails_while_it_is_measured_is_refused(several, monkeypatch):
    tuner = Tuner(several, ["cpu"], ["float32", "int8"], threads=2, seconds=0)
    run = edgevae.engine.Graph.run

    def failing(graph, inputs, outputs, *, threads):
        if graph.entry.precision == "int8" and len(inputs["z"]) > 64:
            raise RuntimeError("out of memory")
        run(graph, inputs, outputs, threads=threads)

    monkeypatch.setattr(edgevae.engine.Graph, "run", failing)
    for _ in tuner.steps():
        pass
    plans = {each.precision: each.plans["decoder"] for each in tuner.tuning().settings}
    assert plans["int8"].chunk <= 64
    assert set(plans) == {"float32", "int8"}


def test_without_a_candidate_there_is_no_setting(several, monkeypatch):
    monkeypatch.setattr(candidates, "verify_runner", lambda runner: 1 / 0)
    tuner = tune(several, ["cpu"])
    assert tuner.tuning().settings == ()
    assert set(tuner.refused.values()) == {"division by zero"}


@pytest.mark.parametrize("names", [None, ["cpu"]])
def test_the_table_says_what_was_found(several, names, monkeypatch):
    monkeypatch.setattr(providers, "available", lambda: ["cpu"])
    tuner = tune(several, names)
    tuning = tuner.tuning(min_psnr=30.0)
    text = table(tuner, tuning)
    assert "decoder of tiny-image" in text
    assert "36.0" in text
    assert f"refused cpu float32 {HERE}: x_hat differs" in text
    assert ('provider "auto" is as before' in text) == (names is not None)
    assert "the fastest in precision float32: cpu in float32" in text
    assert 'the fastest in precision "auto" (at least 30 dB): cpu in ' in text


def test_the_cpu_is_measured_in_detail_however_slow_it_is(several, monkeypatch):
    """It takes over where another provider refuses."""
    plain = candidates.opened(several, Candidate("cpu", "float32", "any"), 2)
    runners = {Candidate(name, "float32", "any"): plain for name in ("fast", "cpu", "slow")}
    times = RoleTimes("decoder", runners, 2, 0)
    short_round = times._short_round

    def far_apart():
        divisions = short_round()
        times.graphs = dict(zip(runners, (1000.0, 1.0, 1.0), strict=True))
        return divisions

    monkeypatch.setattr(times, "_short_round", far_apart)
    assert len([*times.stages()]) == 5
    measured = {backend[0]: bool(each.divisions) for backend, each in times.details.items()}
    assert measured == {"fast": True, "cpu": True, "slow": False}


def test_what_is_stored_is_used(several):
    tuner = tune(several, ["cpu"])
    tuned.write(several, 2, tuner.tuning())
    vae = edgevae.load(several.path, "cpu", 2)
    assert vae.graph("decoder").entry.target == "any"  # since the one for this machine is wrong
    plan = vae.plan("decoder")
    assert plan.source == "edgevae tune"
    assert plan.chunk == tuner.roles["decoder"].details["cpu", "float32"].plan.chunk
