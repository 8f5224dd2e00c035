"""The common behaviour of kinds: items are read, and results allocated and finished."""

import numpy as np
import pytest

from edgevae.data import Signal
from edgevae.errors import InputError


def test_floats_are_read_and_come_back_as_floats(kind):
    x = np.random.default_rng(0).random((3, *kind.x_shape))
    items = kind.read(x)
    assert items.rows.shape == (3, *kind.x_shape)
    assert items.rows.dtype == np.float32
    np.testing.assert_array_equal(items.back(items.rows), x.astype(np.float32))
    single = kind.read(x[0])
    assert single.single
    assert single.back(single.rows).shape == kind.x_shape
    assert len(kind.read(list(x)).back(items.rows)) == 3


def test_a_wrong_shape_is_refused(kind):
    with pytest.raises(InputError, match="of shape"):
        kind.read(np.zeros((3, 3, 9), np.float32))


@pytest.mark.parametrize("name", ["image", "vector", "signal"])
def test_floats_are_finished_unchanged(name, examples):
    kind = examples[name]
    x_hat = np.random.default_rng(0).random((2, *kind.x_shape), np.float32)
    out = np.empty_like(x_hat)
    assert kind.allocate(2, out=out) is out
    kind.finish(x_hat, out)
    assert kind.result(out) is out
    np.testing.assert_array_equal(out, x_hat)


@pytest.mark.parametrize(("name", "makes"), [("vector", "vectors"), ("signal", "signals")])
def test_only_images_have_pixels(name, makes, examples):
    with pytest.raises(InputError, match=f"the model returns {makes}, got 'uint8'"):
        examples[name].allocate(2, "uint8")


def test_the_default_output_suits_the_kind(examples):
    names = {name: kind.default_output("made", ".png") for name, kind in examples.items()}
    assert names == {"image": "made.png", "vector": "made.npy", "signal": "made.npy", "text": "-"}


def test_rows_of_tables_have_names(examples):
    assert examples["signal"].feature_names == ("volts", "amps")
    assert Signal((2, 6)).feature_names == ("x0", "x1")
    assert len(examples["image"].feature_names) == 60


@pytest.mark.parametrize(
    ("x", "says"),
    [(3, "got a int"), (np.zeros((1, 2), int), "got an array of int64"), (None, "got a NoneType")],
)
def test_another_type_is_refused_with_its_name(examples, x, says):
    with pytest.raises(InputError, match=f"expected an array of float32, {says}"):
        examples["vector"].read(x)


def test_the_item_of_a_list_is_named(examples):
    vector = examples["vector"]
    with pytest.raises(InputError, match="item 1 of the list: x: expected float64 of shape"):
        vector.read([np.zeros(2), np.zeros(3)])
    with pytest.raises(InputError, match="item 0 of the list: expected a single item, got a batch"):
        vector.read([np.zeros((1, 2))])
