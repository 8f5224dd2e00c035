"""Names from data become names of files that stay in their folder, and are all different."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevae.files import FileNames

HOSTILE = [
    *("../../x", "/etc/passwd", "..", ".", "", " ", "a/b", "a_b", "A_B", "a\\b", "C:\\x", "a\0b"),
    *("con", "CON.txt", "nul", "Lpt1", "com²", "x.", "x ", "~", "$HOME", "é", "e\u0301", "\ud800"),
    *("ß" * 500, "ß" * 501, "日" * 300, "a" * 10_000, "a" * 10_001, "straße", "STRASSE", "a\nb"),
    *("x-1", "x", "X", "-2"),
]


def named(ids: list) -> list[str]:
    """Return the names of these ids, in one folder."""
    names = FileNames()
    return [names.name(each) for each in ids]


def test_a_name_resembles_its_id():
    ids = ["../../x", "/etc/passwd", "a/b", "a_b", ".hidden", "C:\\x", "Ärger 7-b", "", 12]
    assert named(ids) == [
        "_._.._x", "_etc_passwd", "a_b", "a_b-2", "_hidden", "C__x", "Ärger 7-b", "_", "000012"
    ]  # fmt: skip


def test_no_name_is_that_of_a_device_of_windows():
    assert named(["con", "NUL.x", "Lpt1", "com²", "console"]) == [
        "_con", "_NUL.x", "_Lpt1", "_com²", "console"
    ]  # fmt: skip


def test_names_that_one_system_takes_for_the_same_get_numbers():
    assert named(["x", "X", "x-1", "x", "é", "e\u0301"]) == [
        "x", "X-2", "x-1", "x-3", "é", "é-2"
    ]  # fmt: skip
    assert len(set(named(["same"] * 20_000))) == 20_000


@pytest.mark.skipif(sys.platform == "win32", reason="os.path of another system")
def test_hostile_names_become_files_of_their_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in named(HOSTILE):
        path = folder / f"{name}.png"
        with open(path, "x"):
            assert Path(path).resolve().parent == folder.resolve()
    assert len(list(folder.iterdir())) == len(HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@given(st.lists(st.one_of(st.text(), st.sampled_from(HOSTILE), st.integers(), st.floats())))
def test_every_id_has_a_name_of_its_own(ids):
    names = named(ids)
    assert len({name.casefold() for name in names}) == len(ids)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\0')
        assert 0 < len(name.encode()) < 240
        assert name == name.strip(". ")
