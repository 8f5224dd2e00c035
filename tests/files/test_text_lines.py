"""Lines of text are read as strings, one by one from a stream, and written as lines."""

import io
import sys
from types import SimpleNamespace

import pytest
from tiny import Tiny

import edgevae
from edgevae import files
from edgevae.data import Text
from edgevae.errors import InputError
from edgevae.files import text_lines


@pytest.fixture
def bundle(tmp_path):
    """A bundle of strings of up to four of the characters a, b and c."""
    tiny = Tiny("text", (4, 4), (0.0, 1.0), (2,))
    return tiny.write(tmp_path / "b", text=Text("abc", 4), likelihood={"name": "categorical"})


def test_strings_come_line_by_line(bundle, monkeypatch):
    pipe = io.BytesIO(b"ab\r\ncab\n\nad\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    batches = files.stream(["-"], bundle, print)
    vae = edgevae.load(bundle.path)
    for item in ("ab", "cab", ""):
        ids, x = next(batches)
        assert ids == [item]
        assert vae.score(x, "recon").values == vae.score(item, "recon").values
    with pytest.raises(InputError, match=r"standard input, line 4: 'ad' has 'd'"):
        next(batches)


def test_strings_are_arguments_or_the_lines_of_one_file(tmp_path):
    (tmp_path / "x.txt").write_text("\ufeffab\ncé\n", "utf-8")
    path = str(tmp_path / "x.txt")
    places = [f"{path}, line 1", f"{path}, line 2"]
    assert text_lines.strings([path]) == (["ab", "cé"], places)
    assert text_lines.strings(["ab", "x.txt"]) == (["ab", "x.txt"], ["input 1", "input 2"])
    (tmp_path / "x.txt").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"x\.txt: expected lines of text in UTF-8"):
        text_lines.strings([path])


def test_a_string_that_does_not_fit_is_refused_before_any_batch(bundle):
    batches = text_lines.read(["ab", "c", ""], ["1", "2", "3"], bundle.data, 2)
    assert [len(batch) for batch in batches] == [2, 1]
    with pytest.raises(InputError, match="place 2: 'bad' has 'd'"):
        text_lines.read(["ab", "bad"], ["place 1", "place 2"], bundle.data, 1)


def test_strings_and_one_hot_rows_are_written_as_lines(bundle, tmp_path):
    batches = [["ab", ""], bundle.data.one_hot(["cab"])]
    text_lines.write_lines(str(tmp_path / "x.txt"), batches, bundle.data)
    assert (tmp_path / "x.txt").read_bytes() == b"ab\n\ncab\n"
