"""The reader: files are checked, and nothing is changed."""

import shutil
from pathlib import Path

import pytest

from edgevae import bundle
from edgevae.bundle import reader
from edgevae.errors import BundleError


def test_reading_changes_nothing(copy, contents):
    before = contents(copy)
    read = bundle.read(copy)
    read.mixture()
    read.selfcheck()
    assert contents(copy) == before


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "prior.npz", "selfcheck.npz"])
def test_a_spoilt_file_is_refused(copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-1])
    with pytest.raises(BundleError, match=rf"{name}: expected {len(whole)} bytes, got"):
        bundle.read(copy)
    (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name}: expected sha256 .* altered"):
        bundle.read(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: No such file"):
        bundle.read(copy)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"not a bundle, as it has no manifest\.json"):
        bundle.read(tmp_path)


def test_find_takes_names_and_paths(tiny_paths, tmp_path, monkeypatch):
    zoo = tmp_path / "zoo"
    shutil.copytree(tiny_paths["grey"], zoo / "tiny")
    monkeypatch.setattr(reader, "_ZOO", zoo)
    assert bundle.names() == ["tiny"]
    assert bundle.find("tiny") == zoo / "tiny"
    assert bundle.find(str(tiny_paths["grey"])) == tiny_paths["grey"]
    with pytest.raises(BundleError, match=r"a shipped one \(tiny\), got 'tinny'"):
        bundle.find("tinny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert bundle.find(Path("tiny")) == Path("tiny")
