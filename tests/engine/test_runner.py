"""A runner gives numpy's results, however the rows are divided."""

import numpy as np
import pytest

from edgevae import bundle
from edgevae.engine import Runner, Setting
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
    path = tinies["grey"].write(tmp_path / "b", encoder=b"no graph").path
    runner = Runner(bundle.read(path), "cpu")
    assert runner.decode(runner.prior.draw(2, seed=1)).shape == (2, 1, 8, 8)
