"""Tune files: for one machine, bundle and setting; a damaged one counts as none."""

import json
from dataclasses import replace

import pytest

import edgevae
from edgevae import bundle
from edgevae.engine import tuned
from edgevae.errors import InputError

CPU = tuned.Setting("cpu", "float32", 2)


@pytest.fixture
def grey(tiny_paths, caches):
    return bundle.read(tiny_paths["grey"])


def test_a_measurement_holds_for_its_setting_alone(grey, monkeypatch):
    tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(16, 3)})
    for other in (CPU._replace(threads=3), CPU._replace(precision="int8")):
        assert tuned.read_tuned(grey, other) == {}
    other = replace(grey, files={**grey.files, "decoder.onnx": bundle.File("0" * 64, 1)})
    assert tuned.read_tuned(other, CPU) == {}
    assert tuned.read_tuned(replace(grey, name="other"), CPU) == {"decoder": (16, 3)}
    monkeypatch.setattr(tuned, "cpu_name", lambda: "another processor")
    assert tuned.read_tuned(grey, CPU) == {}


def test_the_plan_of_another_role_is_kept(grey):
    tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(16, 3)})
    tuned.write_tuned(grey, CPU, {"encoder": tuned.Tuned(8, 2)})
    path = tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(32, 4)})
    assert tuned.read_tuned(grey, CPU) == {"decoder": (32, 4), "encoder": (8, 2)}
    assert [*path.parent.iterdir()] == [path]


GOOD = {"chunk": 16, "single_call_rows": 3}
DAMAGED_FILES = [b"", b"{", b"\xff\xfe", b"[" * 100_000]
DAMAGED_ROLES = [
    None,
    [GOOD],
    {"decoder": None},
    {"decoder": {"chunk": 16}},
    {"decoder": {**GOOD, "more": 1}},
    {"decoder": {**GOOD, "single_call_rows": -1}},
    {"decoder": {**GOOD, "chunk": 0}},
    {"decoder": {**GOOD, "chunk": 1e9}},
    {"decoder": {**GOOD, "chunk": True}},
    {"decoder": {**GOOD, "chunk": "16"}},
    {"decoder": {**GOOD, "chunk": 1 << 60}},
]


@pytest.mark.parametrize("content", DAMAGED_FILES + DAMAGED_ROLES, ids=lambda c: str(c)[:40])
def test_a_damaged_file_counts_as_none(grey, content):
    path = tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(16, 3)})
    if not isinstance(content, bytes):
        content = json.dumps({**json.loads(path.read_bytes()), "roles": content}).encode()
    path.write_bytes(content)
    assert tuned.read_tuned(grey, CPU) == {}


def test_a_file_of_the_older_names_is_read(grey):
    path = tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(16, 3)})
    content = json.loads(path.read_bytes())
    content["roles"] = {"decoder": {"chunk": 16, "few": 3}}
    path.write_text(json.dumps(content))
    assert tuned.read_tuned(grey, CPU) == {"decoder": tuned.Tuned(16, 3)}


def test_another_machines_file_counts_as_none(grey):
    path = tuned.write_tuned(grey, CPU, {"decoder": tuned.Tuned(16, 3)})
    content = json.loads(path.read_bytes())
    content["machine"]["cpu"] += " of a later stepping"
    path.write_text(json.dumps(content))
    assert tuned.read_tuned(grey, CPU) == {}


def test_loading_and_running_write_nothing(tiny_paths, caches):
    edgevae.load(tiny_paths["grey"], "cpu").generate(100, seed=1)
    assert not caches.exists()


def test_without_a_home_there_is_no_cache(grey, monkeypatch):
    monkeypatch.setattr(tuned, "_caches", lambda: None)
    assert tuned.read_tuned(grey, CPU) == {}
    with pytest.raises(InputError, match="set XDG_CACHE_HOME"):
        tuned.write_tuned(grey, CPU, {})


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, "home/.cache"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache"),  # which its specification ignores
        ("darwin", {}, "home/Library/Caches"),
        ("win32", {}, "home/AppData/Local"),
    ],
)
def test_the_folder_is_the_platforms(monkeypatch, tmp_path, platform, environment, folder):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tuned.Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(tuned.sys, "platform", platform)
    assert tuned._caches() == tmp_path / folder
