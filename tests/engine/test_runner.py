"""A runner gives numpy's results, however the rows are divided."""

import numpy as np
import pytest
from tiny import no_graph

from edgevae import bundle
from edgevae.engine import Runner, Setting, TunedPlan, TunedSetting, Tuning, providers, tuned
from edgevae.errors import InputError

CLOSE = 2e-6


@pytest.fixture
def runner(tiny_paths):
    return Runner(bundle.read(tiny_paths["colour"]), "cpu", 2)


@pytest.mark.parametrize("n", [0, 1, 9, 200])
def test_rows_are_encoded_decoded_and_reconstructed(tinies, runner, n):
    x = np.random.default_rng(0).random((n, 3, 8, 6), np.float32)
    mu, logvar = tinies["colour"].encode(x)
    posterior = runner.encode(x)
    np.testing.assert_allclose(posterior.mu, mu, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, logvar, atol=CLOSE)
    x_hat = runner.decode(posterior.mu)
    np.testing.assert_allclose(x_hat, tinies["colour"].decode(mu), atol=2 * CLOSE)
    np.testing.assert_array_equal(runner.reconstruct(x), x_hat)


@pytest.mark.parametrize("n", [2, 40, 200])
def test_strided_rows_are_encoded_as_contiguous_ones(runner, n):
    x = np.random.default_rng(0).random((n, 8, 6, 3), np.float32).transpose(0, 3, 1, 2)
    mu = runner.encode(x).mu
    np.testing.assert_array_equal(mu, runner.encode(np.ascontiguousarray(x)).mu)


def test_class_numbers_go_with_their_rows(tinies, tiny_paths):
    runner = Runner(bundle.read(tiny_paths["classes"]), "cpu", 2)
    z = np.random.default_rng(1).standard_normal((150, 4)).astype(np.float32)
    y = np.arange(150) % 3
    np.testing.assert_allclose(runner.decode(z, y), tinies["classes"].decode(z, y), atol=CLOSE)


@pytest.mark.parametrize("n", [1, 150])
def test_decoding_asks_for_each_latent_once(runner, n):
    z = np.random.default_rng(2).standard_normal((n, 2, 3)).astype(np.float32)
    asked = []

    def latents(first, last):
        asked.extend(range(first, last))
        return z[first:last]

    out = np.empty((n, 8, 6, 3), np.uint8)
    runner.decode_into(latents, out)
    assert sorted(asked) == [*range(n)]
    pixels = (runner.decode(z).transpose(0, 2, 3, 1) + 1) * 127.5
    assert np.abs(out - pixels).max() <= 0.51


def test_graphs_that_are_missing_are_named(runner):
    with pytest.raises(InputError, match="bundle 'tiny-image' has no activations: the score"):
        runner.graph("activations")
    with pytest.raises(InputError, match="has no activations"):
        runner.activations(np.zeros((1, 3, 8, 6), np.float32))


def test_a_runner_describes_itself(runner):
    assert runner.setting == Setting("cpu", "float32", 2) == (runner.provider, "float32", 2)
    assert runner.plan("decoder").workers == 2
    assert {role: each.provider for role, each in runner.placements().items()} == {
        "encoder": "cpu",
        "decoder": "cpu",
    }


def test_nothing_is_opened_before_it_is_used(tinies, tmp_path):
    path = tinies["grey"].write(tmp_path / "b", encoder=no_graph()).path
    runner = Runner(bundle.read(path), "cpu")
    assert runner.decode(runner.prior.draw(2, seed=1)).shape == (2, 1, 8, 8)


# --- what `edgevae tune` stored ----------------------------------------------------------------


def tuning_of(*settings: tuple[str, str, TunedPlan]) -> Tuning:
    """Return a tuning in which the first of these providers and precisions is the fastest."""
    found = tuple(
        TunedSetting(name, at, 50.0, {"decoder": plan._replace(rows_per_second=1 / (i + 1))})
        for i, (name, at, plan) in enumerate(settings)
    )
    return Tuning("2026-01-02", 40.0, tuple(setting[0] for setting in settings), found)


PLAN = TunedPlan("any", 16, 3, 1, 2, 4, 1000.0)


def test_a_stored_plan_and_graph_are_used(tinies, tmp_path, caches):
    entry = bundle.GraphEntry("decoder", "generic", "float32")
    opened = tinies["grey"].write(tmp_path / "b", further=[(entry, no_graph("another graph"))])
    tuned.write(opened, 2, tuning_of(("cpu", "float32", PLAN._replace(target="generic"))))
    runner = Runner(opened, "cpu", 2)
    assert runner.graph("decoder").entry.target == "generic"
    assert runner.plan("decoder") == (3, 16, 1, 2, "edgevae tune", 4, 2)
    assert Runner(opened, "cpu", 2, tuning=Tuning()).graph("decoder").entry.target == "any"
    assert Runner(opened, "cpu", 1).plan("decoder").source != "edgevae tune"


def test_a_stored_target_that_the_bundle_lacks_is_ignored(tiny_paths):
    tuning = tuning_of(("cpu", "float32", PLAN._replace(target="of another world")))
    runner = Runner(bundle.read(tiny_paths["grey"]), "cpu", 2, tuning=tuning)
    assert runner.decode(runner.prior.draw(2, seed=1)).shape == (2, 1, 8, 8)


@pytest.fixture
def openvino_listed(monkeypatch):
    """Let onnxruntime list a provider that refuses every graph."""
    monkeypatch.setattr(providers, "available", lambda: ["cpu", "openvino"])


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_stored_provider_that_refuses_is_replaced_and_named(
    tiny_paths, openvino_listed, precision
):
    settings = [("openvino", "float32", PLAN), ("cpu", "float32", PLAN._replace(chunk=7))]
    if precision == "auto":
        settings.insert(0, ("openvino", "bf16", PLAN))
    opened = bundle.read(tiny_paths["grey"])
    runner = Runner(opened, "auto", 2, precision=precision, tuning=tuning_of(*settings))
    assert runner.provider == "cpu"
    assert runner.precision == "float32"
    assert runner.plan("decoder").chunk == 7  # the plan of the CPU
    why = runner.placements()["decoder"].why
    assert why.startswith("edgevae tune found openvino to be the fastest on 2026-01-02; ")
    assert "provider 'openvino' is not available" in why


def test_an_unknown_precision_is_refused_with_the_known_ones(tiny_paths):
    with pytest.raises(InputError, match="expected float32, int8, bf16, auto, got 'fp4'"):
        Runner(bundle.read(tiny_paths["grey"]), "cpu", precision="fp4")
