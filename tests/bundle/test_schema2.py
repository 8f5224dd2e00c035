"""Bundles of schema 2 are written to the same bytes by every version."""

import json
import runpy
from pathlib import Path

import pytest

from edgevae import bundle
from edgevae.json_fields import Fields

FOLDER = Path(__file__).parent / "schema2"
BUNDLES = runpy.run_path(str(Path(__file__).parent / "make_schema2.py"))["BUNDLES"]


@pytest.mark.parametrize("make", BUNDLES, ids=lambda make: make.__name__)
def test_writing_gives_the_bytes_of_schema_2(make, tmp_path, contents):
    make(tmp_path / "b")
    written, expected = contents(tmp_path / "b"), contents(FOLDER / make.__name__)
    assert written.keys() == expected.keys()
    for name in expected:
        assert written[name] == expected[name], name


@pytest.mark.parametrize("name", [make.__name__ for make in BUNDLES])
def test_copying_gives_the_bytes_of_schema_2(name, tmp_path, contents):
    bundle.extend(bundle.read(FOLDER / name), tmp_path / "b")
    assert contents(tmp_path / "b") == contents(FOLDER / name)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: str(path)[-30:])
def test_a_manifest_is_described_by_the_same_bytes(path):
    fields = Fields(json.loads(path.read_bytes()), str(path))
    described = bundle.Manifest.from_json(fields).as_json()
    assert json.dumps(described, indent=2) + "\n" == path.read_text()


def test_equal_graphs_are_one_file():
    written = bundle.read(FOLDER / "targets")
    decoders = [entry for entry in written.graphs if entry.role == "decoder"]
    assert [entry.file for entry in decoders] == ["decoder.onnx", *["decoder.x86_64.onnx"] * 3]
    assert [entry.target for entry in decoders] == ["any", "x86_64", "aarch64", "x86_64"]
    assert [name for name in written.files if name.startswith("decoder")] == [
        "decoder.onnx",
        "decoder.x86_64.onnx",
    ]
