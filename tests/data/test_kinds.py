"""The kinds of data: what each reads, allocates, finishes and says of itself in a manifest."""

import numpy as np
import pytest

from edgevae.data import KINDS, Features, Image, Signal, Text, Vector, kind_from_json
from edgevae.errors import BundleError, InputError
from edgevae.json_fields import Fields

FEATURES = Features(("volts", "amps"), (0.0, 1.0), (1.0, 2.0), (0.5, 1.5))
EXAMPLES = {
    "image": Image((3, 4, 5), (-1.0, 1.0)),
    "vector": Vector((2,), None, FEATURES),
    "signal": Signal((2, 6), (0.0, 1.0), FEATURES, stride=3),
    "text": Text("abc", 4, "title"),
}


@pytest.fixture(params=EXAMPLES)
def kind(request):
    return EXAMPLES[request.param]


def test_there_is_an_example_of_each_kind():
    assert list(EXAMPLES) == list(KINDS)


def test_a_kind_is_read_back_from_its_description(kind):
    assert kind_from_json(Fields(kind.as_json(), "m")) == kind


@pytest.mark.parametrize("name", ["image", "vector", "signal"])
def test_a_kind_may_have_a_shape_and_a_range_alone(name):
    shape = {"image": (1, 2, 2), "vector": (2,), "signal": (2, 3)}[name]
    plain = KINDS[name](shape, (0.0, 1.0))
    assert plain.features is None
    assert plain.stride is None
    assert kind_from_json(Fields(plain.as_json(), "m")) == plain


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
def test_floats_are_finished_as_they_are(name):
    kind = EXAMPLES[name]
    x_hat = np.random.default_rng(0).random((2, *kind.x_shape), np.float32)
    out = np.empty_like(x_hat)
    assert kind.allocate(2, out=out) is out
    kind.finish(x_hat, out)
    assert kind.result(out) is out
    np.testing.assert_array_equal(out, x_hat)


@pytest.mark.parametrize(("name", "makes"), [("vector", "vectors"), ("signal", "signals")])
def test_only_images_have_pixels(name, makes):
    with pytest.raises(InputError, match=f"the model makes {makes}, got 'uint8'"):
        EXAMPLES[name].allocate(2, "uint8")


def test_the_default_output_suits_the_kind():
    names = {name: kind.default_output("made", ".png") for name, kind in EXAMPLES.items()}
    assert names == {"image": "made.png", "vector": "made.npy", "signal": "made.npy", "text": "-"}


def test_rows_of_tables_have_names():
    assert EXAMPLES["signal"].feature_names == ("volts", "amps")
    assert Signal((2, 6)).feature_names == ("x0", "x1")
    assert len(EXAMPLES["image"].feature_names) == 60


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "audio"}, "kind must be 'image' or"),
        ({"text": {}}, "text must be there for kind 'text', and for no other"),
        ({"x": {"shape": [2], "range": [0, 1]}}, r"shape must be \[1 or 3, height, width\]"),
        ({"x": {"shape": [1, 2, 2], "range": None}}, r"range must be \[low, high\] for images"),
        ({"kind": "text"}, "text must be there"),
        ({"kind": "signal"}, r"shape must be \[features, window\] for signals"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(change, says):
    with pytest.raises(BundleError, match=says):
        kind_from_json(Fields({**Image((1, 2, 2)).as_json(), **change}, "m"))
