"""Strings of an alphabet: one-hot rows and back, and the strings that are refused."""

import numpy as np
import pytest

from edgevae.data import Text, kind_from_json
from edgevae.errors import BundleError, InputError
from edgevae.json_fields import Fields

NAMES = Text("abcdefghijklmnopqrstuvwxyz", 13, "title")
PLAIN = Text("aA-é", 4)


@pytest.mark.parametrize(
    ("text", "items"), [(NAMES, ["Smith", "O", "Abcdefghijklm"]), (PLAIN, ["aA-é", "", "é", "--"])]
)
def test_strings_come_back_from_their_one_hot_rows(text, items):
    read = text.read(items)
    assert read.rows.shape == (len(items), text.length, len(text.alphabet) + 1)
    assert read.rows.dtype == np.float32
    assert (read.rows.sum(2) == 1).all()
    assert read.back(read.rows) == items


def test_a_string_comes_back_as_one_and_in_title_case():
    read = NAMES.read("vAN")
    assert read.single
    assert read.back(read.rows) == "Van"


def test_characters_after_the_first_end_are_ignored():
    rows = NAMES.read(["abc"]).rows
    rows[0, 1] = rows[0, 5]  # an end
    assert NAMES.strings(rows).tolist() == ["A"]


def test_the_likeliest_characters_are_taken():
    x_hat = np.full((1, 4, 5), 0.1, np.float32)
    x_hat[0, [0, 1, 2, 3], [3, 1, 4, 0]] = 0.2
    assert PLAIN.strings(x_hat).tolist() == ["éA"]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("smi3th", ["x:", "'3'", "position 3", "alphabet"]),
        (["smith", "müller"], ["item 1 ", "'ü'", "position 1"]),
        ("a" * 14, ["x:", "14 characters", "at most 13"]),
        (["smith", 7], ["item 1 ", "int"]),
        (7, ["list of str", "int"]),
        (np.array(["smith"]), ["<U5", "tolist"]),
    ],
)
def test_an_input_that_does_not_fit_is_named(x, words):
    with pytest.raises(InputError) as raised:
        NAMES.read(x)
    assert all(word in str(raised.value) for word in words), raised.value


def test_case_is_kept_if_the_alphabet_has_both():
    with pytest.raises(InputError, match="'É' at position 0"):
        PLAIN.read("É")


def test_no_strings_make_no_rows():
    read = NAMES.read([])
    assert read.rows.shape == (0, 13, 27)
    assert read.back(read.rows) == []


def test_one_hot_rows_are_read_and_returned_unchanged():
    rows = NAMES.read(["smith"]).rows
    read = NAMES.read(rows)
    assert read.back(rows) is rows


def test_text_is_finished_as_a_list_of_strings():
    kind = Text("abc", 4, "title")
    out = kind.allocate(2)
    kind.finish(kind.one_hot(["ab", "cab"]), out)
    assert kind.result(out) == ["Ab", "Cab"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alphabet": "aa"}, "distinct characters"),
        ({"alphabet": "ABC", "length": 4}, "in lower case, as case is 'title'"),
        ({"length": 0}, "length must be at least 1"),
        ({"length": 5}, r"shape must be \[length, characters of the alphabet and 1\]"),
        ({"case": "upper"}, "case must be 'as given' or 'title'"),
    ],
)
def test_an_alphabet_that_does_not_fit_is_refused(change, says):
    described = Text("abc", 4, "title").as_json()
    with pytest.raises(BundleError, match=says):
        kind_from_json(Fields({**described, "text": {**described["text"], **change}}, "m"))
