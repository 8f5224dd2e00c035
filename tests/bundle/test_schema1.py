"""Bundles of schema 1 load, compute what they did, and are written again in schema 2."""

import json
from pathlib import Path

import pytest

import edgevae
from edgevae import bundle
from edgevae.bundle import GraphEntry
from edgevae.diagnostics import verify as selfcheck
from edgevae.errors import BundleError
from edgevae.json_fields import Fields

FOLDER = Path(__file__).parent / "schema1"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_of_schema_1_computes_what_it_did(name):
    # The self-check of these bundles is rounded to multiples of 2^-10.
    checks = selfcheck.verify_runner(edgevae.load(FOLDER / name, "cpu").runner)
    differences = {key: value for each in checks for key, value in each.differences.items()}
    assert differences.keys() >= {"x_hat"}
    assert max(differences.values()) < 2**-9


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_bundle_of_schema_2(name, tmp_path, contents):
    bundle.extend(bundle.read(FOLDER / name), tmp_path / "b")
    assert contents(tmp_path / "b") == contents(FOLDER.with_name("schema2") / name)


@pytest.mark.parametrize("name", ["fashion", "names"])
def test_the_manifests_of_shipped_bundles_are_read(name):
    path = FOLDER / f"{name}.json"
    manifest = bundle.Manifest.from_json(Fields(json.loads(path.read_bytes()), str(path)))
    assert manifest.name == name
    assert (
        manifest.graph("decoder").chunk_rows
        == json.loads(path.read_bytes())["chunk_rows"]["decoder"]
    )


def test_the_hints_of_a_role_are_those_of_its_entries():
    assert bundle.read(FOLDER / "image").graphs == (
        GraphEntry("encoder", "any", "float32", "encoder.onnx", 2048, 64),
        GraphEntry("decoder", "any", "float32", "decoder.onnx", 4096, 32),
        GraphEntry("activations", "any", "float32", "activations.onnx", None, 64),
        GraphEntry("decoder", "any", "int8", "decoder.int8.onnx", 4096, 32),
    )


def test_unknown_fields_are_copied(tmp_path):
    folder = bundle.extend(bundle.read(FOLDER / "colour"), tmp_path / "b").path
    manifest = json.loads((FOLDER / "colour" / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "made on": "another version"}))
    copy = bundle.extend(bundle.read(folder), tmp_path / "c").path
    assert json.loads((copy / "manifest.json").read_bytes())["made on"] == "another version"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("variants", {}, "graphs must be a list with a float32 decoder"),
        ("variants", [], "variants: expected an object"),
        ("variants", {"fp32": {"decoder": 1}}, "fp32: decoder must be a string"),
        ("variants", {"fp32": {"decoder": "x.onnx"}}, "file must be one of the listed files"),
        ("chunk_rows", {"decoder": 0}, "chunk_rows must be at least 1, got 0"),
        ("row_bytes", 3, "row_bytes: expected an object"),
        ("quality", [], "quality: expected an object"),
    ],
)
def test_a_wrong_field_of_schema_1_is_refused(field, value, says):
    manifest = json.loads((FOLDER / "image" / "manifest.json").read_bytes())
    with pytest.raises(BundleError, match=says):
        bundle.Manifest.from_json(Fields({**manifest, field: value}, "m"))
