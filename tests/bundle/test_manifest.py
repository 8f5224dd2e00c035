"""The manifest: every field is checked, and a wrong one is named."""

import json
from pathlib import Path

import pytest

from edgevae import bundle, sampling
from edgevae.errors import BundleError


def edit(path: Path, change) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_the_stream_is_that_of_the_kernels():
    assert bundle.Manifest.stream == sampling.STREAM


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_object_is_refused(copy, text):
    (copy / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"manifest\.json: expected"):
        bundle.read(copy)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("schema", 3, "schema must be 1 or 2.*upgrade edgevae"),
        ("schema", 0, "schema must be 1 or 2.*export the bundle again"),
        ("schema", "1", "schema must be a whole number"),
        ("schema", True, "schema must be a whole number"),
        ("stream", 9, "stream must be 1"),
        ("name", "", "name must be a string"),
        ("kind", "audio", "kind must be 'image' or .*'text', got 'audio'"),
        ("latent_shape", [], "latent_shape must be a list of whole numbers"),
        ("latent_shape", [4.0], "latent_shape must be a list of whole numbers"),
        ("latent_shape", [0], "at least 1"),
        ("opset", -1, "opset must be a whole number"),
        ("noise", None, "noise must be a finite number"),
        ("noise", float("nan"), "noise must be a finite number"),
        ("tolerance", -1e-4, "tolerance must be a finite number of at least 0"),
        ("tolerance", 10**400, "tolerance must be a finite number of at least 0"),
        ("licence", 3, "licence must be a string"),
        ("x", [1, 8, 8], "x: expected an object"),
        ("x", {"shape": [64], "range": [0, 1]}, r"x: shape must be \[1 or 3, height, width\]"),
        ("x", {"shape": [1, 8, 8], "range": [1, 0]}, "low < high"),
        ("x", {"shape": [1, 8, 8], "range": None}, r"range must be \[low, high\] for images"),
        ("likelihood", {"name": "cauchy"}, "name must be 'gaussian' or 'bernoulli'"),
        ("likelihood", {}, "name is missing"),
        ("likelihood", {"name": "gaussian"}, "sigma is missing"),
        ("likelihood", {"name": "gaussian", "sigma": 0}, "sigma must be positive"),
        ("likelihood", {"name": "gaussian", "sigma": [1, 2]}, "one number, or"),
        ("prior", {"kind": "mixture", "components": 0}, "components must be at least 1"),
        ("prior", {"kind": "flow"}, "kind must be 'mixture' or 'normal' or 'none'"),
        ("quality", [], "quality: expected an object"),
        ("quality", {"int4": {}}, "quality must be of the graphs' precisions, not of 'int4'"),
        ("quality", {"float32": {"decoder_psnr": "good"}}, "decoder_psnr must be a finite number"),
        ("provenance", {"by": ["a"]}, "by must be a string or a finite number"),
        ("files", {}, r"lists 'prior\.npz', which a mixture prior needs"),
        ("model", "gan", "model must be 'vae' or 'autoencoder'"),
        ("files", [], "files: expected an object"),
    ],
)
def test_a_wrong_field_is_refused(copy, field, value, says):
    edit(copy, lambda manifest: manifest.update({field: value}))
    with pytest.raises(BundleError, match=rf"manifest\.json.*{says}"):
        bundle.read(copy)


def test_every_field_is_required(copy):
    assert "quality" not in json.loads((copy / "manifest.json").read_text())  # which is optional
    for field in json.loads((copy / "manifest.json").read_text()):
        manifest = (copy / "manifest.json").read_text()
        edit(copy, lambda manifest, field=field: manifest.pop(field))
        with pytest.raises(BundleError, match=f"{field} is missing"):
            bundle.read(copy)
        (copy / "manifest.json").write_text(manifest)


@pytest.mark.parametrize("name", ["../encoder.onnx", "/etc/passwd", "a/b", "..", "", "a\\b", "C:a"])
def test_a_file_outside_of_the_bundle_is_refused(copy, name):
    edit(copy, lambda manifest: manifest["files"].update({name: manifest["files"]["prior.npz"]}))
    with pytest.raises(BundleError, match="named by plain file names"):
        bundle.read(copy)


def test_an_unknown_field_and_a_stray_file_are_ignored(copy):
    edit(copy, lambda manifest: manifest.update({"made on": "a later version"}))
    (copy / ".DS_Store").write_text("")
    assert bundle.read(copy).name == "tiny-image"
