"""Each JSON field is read with its type, or named in an error."""

import pytest

from edgevae.errors import BundleError
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


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json: expected JSON"):
        parse(tmp_path / "manifest.json")
