"""Each kind is read back from its description, and a wrong description is refused."""

import pytest

from edgevae.data import KINDS, Image, kind_from_json
from edgevae.errors import BundleError
from edgevae.json_fields import Fields


def test_there_is_an_example_of_each_kind(examples):
    assert list(examples) == list(KINDS)


def test_a_kind_is_read_back_from_its_description(kind):
    assert kind_from_json(Fields(kind.as_json(), "m")) == kind


@pytest.mark.parametrize("name", ["image", "vector", "signal"])
def test_a_kind_may_have_a_shape_and_a_range_alone(name):
    shape = {"image": (1, 2, 2), "vector": (2,), "signal": (2, 3)}[name]
    plain = KINDS[name](shape, (0.0, 1.0))
    assert plain.features is None
    assert plain.stride is None
    assert kind_from_json(Fields(plain.as_json(), "m")) == plain


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
