"""A bundle with classes: the labels that each verb takes and refuses."""

import pickle

import numpy as np
import pytest

import edgevae
from edgevae import Batcher, bundle, sampling
from edgevae.data import class_numbers, classes_in_turn
from edgevae.diagnostics import tune
from edgevae.diagnostics import verify as selfcheck
from edgevae.errors import BundleError, InputError

CLASSES = ("Boot", "Coat", "Hat")


@pytest.fixture
def vae(tiny_paths):
    return edgevae.load(tiny_paths["classes"], "cpu", threads=2, chunk=3)


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        (2, [2, 2]),
        ("coat", [1, 1]),
        ([0, "HAT"], [0, 2]),
        (np.array([1, 0], np.uint8), [1, 0]),
        (np.int64(1), [1, 1]),
    ],
)
def test_a_label_is_a_number_or_a_name(labels, numbers):
    assert class_numbers(labels, CLASSES, 2).tolist() == numbers


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (3, r"got 3; the classes are 0 'Boot', 1 'Coat', 2 'Hat'"),
        (-1, "got -1; the classes are"),
        ("shoe", "got 'shoe'; the classes are"),
        ([0, True], "got True"),
        ([0, 1.0], "got 1.0"),
        ([0], "expected one label, or 2, one for each row, got 1"),
        (None, "expected a class for each row, got none; the classes are"),
        (1.5, "expected a class, by number or name, got 1.5"),
    ],
)
def test_other_labels_are_refused(labels, says):
    with pytest.raises(InputError, match=says):
        class_numbers(labels, CLASSES, 2)


def test_decode_takes_a_label_for_each_row(vae, tinies):
    z = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)
    y = np.arange(7) % 3
    np.testing.assert_allclose(vae.decode(z, labels=y), tinies["classes"].decode(z, y), atol=1e-6)
    np.testing.assert_array_equal(vae.decode(z, labels=1), vae.decode(z, labels=["coat"] * 7))
    with pytest.raises(InputError, match="expected a class for each row"):
        vae.decode(z)


def test_generate_takes_labels_or_each_class_in_turn(vae):
    z = vae.sample(8, seed=3, start=5)
    turns = vae.generate(8, seed=3, start=5)
    np.testing.assert_allclose(turns, vae.decode(z, labels=(np.arange(8) + 5) % 3), atol=1e-6)
    hats = vae.generate(8, seed=3, start=5, labels="hat")
    np.testing.assert_allclose(hats, vae.decode(z, labels=2), atol=1e-6)
    assert classes_in_turn(CLASSES, 3, 2**64 - 1).tolist() == [(2**64 - 1) % 3, 0, 1]


@pytest.mark.parametrize("labels", [None, "coat", [0, 1, 2, 2, 1, 0, 0]])
def test_stream_returns_the_rows_of_generate(vae, labels):
    batches = vae.stream(7, seed=1, start=4, labels=labels, batch=3)
    whole = vae.generate(7, seed=1, start=4, labels=labels)
    np.testing.assert_allclose(np.concatenate([*batches]), whole, atol=1e-6)


def test_reconstruct_and_interpolate_take_labels(vae):
    x = vae.generate(2, seed=1)
    mu = vae.encode(x).mu
    as_hats = vae.reconstruct(x, labels="hat")
    np.testing.assert_allclose(as_hats, vae.decode(mu, labels=2), atol=1e-6)
    walk = vae.interpolate(x[0], x[1], 3, labels=1)
    np.testing.assert_allclose(walk[::2], vae.decode(mu, labels=1), atol=1e-6)
    with pytest.raises(InputError, match="the classes are"):
        vae.reconstruct(x)
    with pytest.raises(InputError, match="or 4, one for each row, got 2"):
        vae.interpolate(x[0], x[1], 4, labels=[0, 1])


def test_a_bundle_without_classes_takes_no_labels(tiny_paths):
    vae = edgevae.load(tiny_paths["grey"], "cpu")
    for call in (vae.generate, lambda **options: vae.decode(vae.sample(1), **options)):
        with pytest.raises(InputError, match="expected none, since this bundle has no classes"):
            call(labels=0)


def test_other_verbs_take_labels_too(vae):
    assert not selfcheck.verify(vae).failed
    tuner = tune.Tuner(vae.bundle, ["cpu"], threads=2, seconds=0)
    assert [*tuner.steps()]
    assert [*tuner.roles] == ["decoder", "encoder"]
    assert not tuner.refused
    z = vae.sample(1, seed=1)
    copy = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(copy.decode(z, labels=2), vae.decode(z, labels=2))
    with Batcher(vae) as batcher:
        np.testing.assert_allclose(
            batcher.decode(z[0], labels="hat"), vae.decode(z[0], labels=2), atol=1e-6
        )
        with pytest.raises(InputError, match="the classes are"):
            batcher.decode(z[0])


def test_classes_are_read_back_or_refused(tinies, tmp_path):
    assert tinies["classes"].write(tmp_path / "b").classes == CLASSES
    with pytest.raises(BundleError, match="classes must be a list of names that differ"):
        tinies["classes"].write(tmp_path / "b", classes=["a", "A", "b"])
    assert bundle.read(tmp_path / "b").classes == CLASSES


def test_each_class_may_have_a_prior_of_its_own(tinies, tmp_path):
    rng = np.random.default_rng(0)
    means = 10 * np.repeat(np.eye(3, 4), 2, axis=0) + rng.standard_normal((6, 4)) / 10
    table = sampling.MixtureTable(np.full(6, 1 / 6), means, np.full((6, 4), -6.0))
    written = tinies["classes"].write(tmp_path / "b", prior=table, by_class=True)
    vae = edgevae.load(written.path, "cpu", threads=2, chunk=3)
    np.testing.assert_array_equal(vae.sample(7, seed=1, start=2).argmax(1), (np.arange(7) + 2) % 3)
    hats = vae.sample(9, seed=1, labels="hat")
    assert set(hats.argmax(1)) == {2}
    mixed = vae.sample(9, seed=1, labels=[0, 2, 1] * 3)
    np.testing.assert_array_equal(mixed[1::3], hats[1::3])
    np.testing.assert_array_equal(vae.sample(4, seed=1, start=5, labels=2), hats[5:])
    generated = vae.generate(9, seed=1, labels=[0, 2, 1] * 3)
    np.testing.assert_allclose(generated, vae.decode(mixed, labels=[0, 2, 1] * 3), atol=1e-6)


def test_a_prior_that_cannot_be_shared_out_is_refused(tinies, tmp_path):
    table = sampling.MixtureTable(np.full(4, 1 / 4), np.zeros((4, 4)), np.zeros((4, 4)))
    with pytest.raises(BundleError, match="components must be a multiple of the number of classes"):
        tinies["classes"].write(tmp_path / "b", prior=table, by_class=True)
