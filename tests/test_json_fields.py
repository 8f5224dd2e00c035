"""Each JSON field is read with its type, or named in an error."""

import pytest

from edgevae.errors import BundleError, show
from edgevae.json_fields import Fields, is_number, parse


@pytest.fixture
def fields():
    return Fields(
        {"name": "a", "count": 3, "size": 0.5, "whole": 1, "shape": [1, 2], "span": [0, 1]}, "m"
    )


def test_fields_keep_their_values(fields):
    assert (fields.text("name"), fields.integer("count"), fields.number("size")) == ("a", 3, 0.5)
    assert (fields.shape("shape"), fields.span("span")) == ((1, 2), (0, 1))
    assert isinstance(fields.number("whole"), int)  # so that it is written as it was read
    assert list(fields) == ["name", "count", "size", "whole", "shape", "span"]
    assert "name" in fields


def test_a_missing_field_is_named(fields):
    with pytest.raises(BundleError, match="m: licence is missing"):
        fields.text("licence")


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda fields: fields.text("count"), "count must be a string that is not empty, got 3"),
        (lambda fields: fields.text("name", ("b", "c")), "name must be 'b' or 'c', got 'a'"),
        (lambda fields: fields.integer("size"), "size must be a whole number"),
        (lambda fields: fields.count("size"), "size must be a whole number"),
        (lambda fields: fields.number("name"), "name must be a finite number"),
        (lambda fields: fields.shape("span"), "span must be a list of whole numbers of at least 1"),
        (lambda fields: fields.span("shape") and fields.span("name"), "name must be null or"),
        (lambda fields: fields.fields("name"), "m: name: expected an object"),
    ],
)
def test_a_field_of_another_type_is_named(fields, read, says):
    with pytest.raises(BundleError, match=says):
        read(fields)


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, True), (1.5, True), (True, False), (float("nan"), False), (10**400, False), ("1", False)],
)
def test_a_number_is_one_that_a_float_holds(value, number):
    assert is_number(value) is number


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 1_000_000, b'{"a": 1' + b"0" * 5000 + b"}"]
)
def test_content_that_is_no_json_is_named(content):
    with pytest.raises(BundleError, match=r"manifest\.json: expected JSON"):
        parse(content, "manifest.json")


def test_numbers_and_shapes_are_bounded():
    fields = Fields({"count": 10**400, "shape": [1 << 20, 1 << 20]}, "m")
    with pytest.raises(BundleError, match=r"count must be below 2\^63"):
        fields.count("count")
    with pytest.raises(BundleError, match="shape must be the shape of at most"):
        fields.shape("shape")


def test_a_value_that_is_nested_deeply_is_shown():
    value: list = []
    for _ in range(100_000):
        value = [value]
    assert len(show(value)) <= 60
    while value:  # its own destructor would recurse
        value = value[0]
