"""Bundles of schema 1 load, and are written again, to the same bytes."""

import json
import runpy
from pathlib import Path

import pytest

from edgevae import bundle
from edgevae.json_fields import Fields

FOLDER = Path(__file__).parent / "schema1"
BUNDLES = runpy.run_path(str(Path(__file__).parent / "make_schema1.py"))["BUNDLES"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("make", BUNDLES, ids=lambda make: make.__name__)
def test_writing_gives_the_bytes_of_schema_1(make, tmp_path):
    make(tmp_path / "b")
    written, expected = contents(tmp_path / "b"), contents(FOLDER / make.__name__)
    assert written.keys() == expected.keys()
    for name in expected:
        assert written[name] == expected[name], name


@pytest.mark.parametrize("name", [make.__name__ for make in BUNDLES])
def test_copying_gives_the_bytes_of_schema_1(name, tmp_path):
    bundle.extend(bundle.read(FOLDER / name), tmp_path / "b")
    assert contents(tmp_path / "b") == contents(FOLDER / name)


@pytest.mark.parametrize("name", ["fashion", "names"])
def test_the_shipped_bundles_keep_their_manifests(name, tmp_path):
    bundle.extend(bundle.read(bundle.find(name)), tmp_path / "b")
    kept = (FOLDER / f"{name}.json").read_bytes()
    assert (tmp_path / "b" / "manifest.json").read_bytes() == kept


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: str(path)[-30:])
def test_a_manifest_is_described_by_the_same_bytes(path):
    fields = Fields(json.loads(path.read_bytes()), str(path))
    described = bundle.Manifest.from_json(fields).as_json()
    assert json.dumps(described, indent=2) + "\n" == path.read_text()
