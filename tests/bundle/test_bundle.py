"""The bundle: what is written is read back, and nothing else is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgevae import bundle, sampling
from edgevae.bundle import reader
from edgevae.errors import BundleError


@pytest.fixture
def copy(tiny_paths, tmp_path):
    """A bundle of its own for a test to spoil."""
    return Path(shutil.copytree(tiny_paths["grey"], tmp_path / "copy"))


def edit(path: Path, change) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_what_is_written_is_read(tinies, tiny_paths, name):
    tiny, read = tinies[name], bundle.read(tiny_paths[name])
    assert (read.kind, read.x_shape, read.x_range) == (tiny.kind, tiny.x_shape, tiny.x_range)
    assert (read.latent_shape, read.components) == (tiny.latent_shape, tiny.components)
    assert (read.noise, read.licence, read.tolerance) == (tiny.noise, "MIT", 1e-4)
    assert read.provenance == {"made by": "tests/conftest.py", "seed": 5}
    assert read.likelihood == {"name": "gaussian", "sigma": 0.1}
    assert read.graph("decoder").read_bytes() == tiny.decoder()
    check = read.selfcheck()
    np.testing.assert_array_equal(check["mu"], tiny.encode(check["x"])[0].astype(np.float32))
    if tiny.prior is None:
        assert read.mixture() is None
    else:
        for key in ("weights", "means", "logvars"):
            np.testing.assert_array_equal(getattr(read.mixture(), key), getattr(tiny.prior, key))


@pytest.mark.parametrize(
    ("model", "name", "prior"),
    [
        ("vae", "colour", "normal"),
        ("vae", "grey", "mixture"),
        ("autoencoder", "colour", "none"),
        ("autoencoder", "grey", "mixture"),
    ],
)
def test_only_an_autoencoder_without_a_mixture_has_no_prior(tinies, tmp_path, model, name, prior):
    written = tinies[name].write(tmp_path / "b", model=model)
    assert (written.model, written.prior) == (model, prior)


def test_a_variant_stands_in_for_the_roles_it_has(tinies, tmp_path):
    quality = {"int8": {"decoder_psnr": 40.5, "decoder_check_difference": 0.02}}
    written = tinies["grey"].write(
        tmp_path / "b", variants={"int8": {"decoder": b"int8"}}, quality=quality
    )
    assert written.variants == {
        "fp32": {"encoder": "encoder.onnx", "decoder": "decoder.onnx"},
        "int8": {"decoder": "decoder.int8.onnx"},
    }
    assert written.graph("decoder", "int8").read_bytes() == b"int8"
    assert written.graph("encoder", "int8") == written.graph("encoder")
    assert written.quality == quality
    assert written.allowed_difference("decoder", "int8") == pytest.approx(0.0401)
    assert written.allowed_difference("encoder", "int8") == written.tolerance
    assert written.allowed_difference("decoder") == written.tolerance
    with pytest.raises(BundleError, match="no variant 'int4'; the bundle has fp32, int8"):
        written.graph("decoder", "int4")


def test_a_bundle_may_only_decode(tinies, tmp_path):
    written = tinies["grey"].write(tmp_path / "b", encoder=None)
    assert not written.encodes
    assert written.variants == {"fp32": {"decoder": "decoder.onnx"}}
    assert written.selfcheck().keys() == {"z", "x_hat"}
    with pytest.raises(BundleError, match="no encoder: it only decodes"):
        written.graph("encoder")


def test_a_bundle_may_have_activations(tinies, tiny_paths, tmp_path):
    tiny = tinies["grey"]
    written = tiny.write(tmp_path / "b", activations=tiny.activations())
    assert written.roles == ("encoder", "decoder", "activations")
    assert written.graph("activations").read_bytes() == tiny.activations()
    with pytest.raises(BundleError, match="no activations: the score `nap` needs them"):
        bundle.read(tiny_paths["grey"]).graph("activations")


def test_an_extended_bundle_is_the_same_with_more(tiny_paths, tmp_path):
    given = bundle.read(tiny_paths["grey"])
    assert given.arrays("statistics.npz") is None
    statistics = {"mean": np.arange(3, dtype=np.float32), "wide": np.array([1 / 3])}
    extended = bundle.extend(
        given,
        tmp_path / "b",
        arrays={"statistics.npz": statistics, "calibration.npz": {}},
        fields={"calibration": {"alpha": 0.01, "precision": "float32"}},
    )
    assert extended.calibration == {"alpha": 0.01, "precision": "float32"}
    read = extended.arrays("statistics.npz")
    assert read["wide"][0] == 1 / 3  # to the last bit: float64 stays so
    np.testing.assert_array_equal(read["mean"], statistics["mean"])
    for name in given.files:
        assert (extended.path / name).read_bytes() == (given.path / name).read_bytes()
    assert extended.likelihood == given.likelihood


def test_a_bundle_can_be_extended_where_it_stands(copy):
    before = bundle.read(copy)
    bundle.extend(before, copy, arrays={"statistics.npz": {"mean": np.zeros(2)}})
    after = bundle.read(copy)
    assert set(after.files) == {*before.files, "statistics.npz"}
    with pytest.raises(BundleError, match=r"calibration\.npz.*which a calibration needs"):
        bundle.extend(after, copy, fields={"calibration": {"alpha": 0.5}})
    assert bundle.read(copy).files == after.files


def test_arrays_of_no_numbers_are_refused(copy):
    given = bundle.read(copy)
    extended = bundle.extend(given, copy, arrays={"statistics.npz": {"mean": np.full(2, np.nan)}})
    with pytest.raises(BundleError, match=r"statistics\.npz: mean must be finite numbers"):
        extended.arrays("statistics.npz")


def test_the_stream_is_that_of_the_kernels():
    assert bundle.STREAM == sampling.STREAM


def test_a_bundle_is_the_same_bytes_each_time(tinies, tmp_path):
    one, two = (tinies["grey"].write(tmp_path / name).path for name in ("one", "two"))
    assert contents(one) == contents(two)


def test_reading_changes_nothing(copy):
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


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_object_is_refused(copy, text):
    (copy / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"manifest\.json: expected"):
        bundle.read(copy)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"not a bundle, as it has no manifest\.json"):
        bundle.read(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("schema", 2, "schema must be 1.*upgrade edgevae"),
        ("schema", 0, "schema must be 1.*export the bundle again"),
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
        ("variants", {}, "variants must be an object that holds 'fp32'"),
        ("variants", {"fp32": {"encoder": "encoder.onnx"}}, "decoder is missing"),
        ("variants", {"fp32": {"decoder": 1}}, "decoder must be a string"),
        (
            "variants",
            {"fp32": {"decoder": "decoder.onnx"}, "int8": {"encoder": "encoder.onnx"}},
            "without encoder in 'int8', as 'fp32' has none",
        ),
        ("quality", [], "quality: expected an object"),
        ("chunk_rows", {"decoder": 0}, "chunk_rows: decoder must be at least 1, got 0"),
        ("row_bytes", {"encoder": 1.5}, "encoder must be a whole number of at least 0, got 1.5"),
        ("quality", {"int4": {}}, "quality must be of variants that there are, not of 'int4'"),
        ("quality", {"fp32": {"decoder_psnr": "good"}}, "decoder_psnr must be a finite number"),
        (
            "variants",
            {"fp32": {"encoder": "encoder.onnx", "decoder": "x.onnx"}},
            "an object that lists 'x.onnx', which variant fp32 needs",
        ),
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


def test_what_was_measured_for_a_role_is_read_back(tinies, tmp_path):
    figures = {"chunk_rows": {"encoder": 64, "decoder": 32}, "row_bytes": {"decoder": 4096}}
    written = tinies["grey"].write(tmp_path / "b", **figures)
    assert {"chunk_rows": written.chunk_rows, "row_bytes": written.row_bytes} == figures


def test_an_unknown_field_and_a_stray_file_are_ignored(copy):
    edit(copy, lambda manifest: manifest.update({"made on": "a later version"}))
    (copy / ".DS_Store").write_text("")
    assert bundle.read(copy).name == "tiny-image"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "name must be a string"),
        ({"kind": "audio"}, "kind must be"),
        ({"noise": float("nan")}, "finite numbers only"),
        ({"provenance": {"by": Path()}}, "strings and finite numbers only"),
        ({"selfcheck": {"x": np.zeros((1, 1, 8, 8))}}, "expected arrays x, mu, logvar, z, x_hat"),
        ({"variants": {"int8": {"decoder": b""}}, "quality": {"int9": {}}}, "not of 'int9'"),
        ({"encoder": None, "variants": {"int8": {"encoder": b""}}}, "without encoder in 'int8'"),
        ({"latent_shape": (5,)}, r"means must have shape \(5, 5\), got \(5, 4\)"),
    ],
)
def test_what_the_reader_would_refuse_is_not_written(tinies, tmp_path, changes, says):
    tinies["grey"].write(tmp_path / "b")
    before = contents(tmp_path / "b")
    with pytest.raises(BundleError, match=says):
        tinies["grey"].write(tmp_path / "b", **changes)
    assert contents(tmp_path / "b") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_a_prior_whose_weights_are_no_distribution_is_not_written(tinies, tmp_path):
    class Heavy:
        weights = np.full(2, 0.9, np.float32)
        means = logvars = np.zeros((2, 4), np.float32)

    with pytest.raises(BundleError, match=r"sum to 1, got a least of 0\.9 and a sum of 1\.8"):
        tinies["grey"].write(tmp_path / "b", prior=Heavy())


def test_a_bundle_is_replaced_whole(tinies, tmp_path):
    tinies["grey"].write(tmp_path / "b")
    replaced = tinies["vector"].write(tmp_path / "b")
    assert replaced == bundle.read(tmp_path / "b")
    assert replaced.kind == "vector"
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_only_a_bundle_is_replaced(tinies, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    tinies["grey"].write(tmp_path / "mixed")
    (tmp_path / "mixed" / "notes.txt").write_text("mine")
    for name, says in (
        ("file", "got a file"),
        ("folder", "not a bundle"),
        ("mixed", r"holds more than a bundle \(notes\.txt\)"),
    ):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(BundleError, match=says):
            tinies["grey"].write(tmp_path / name)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_an_interrupted_replacement_leaves_the_old_bundle(tinies, tmp_path, monkeypatch):
    tinies["grey"].write(tmp_path / "b")
    before = contents(tmp_path / "b")
    rename = Path.rename

    def fail_on_the_second(self, target):
        if self.suffix == ".draft":
            raise OSError("no space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_the_second)
    with pytest.raises(OSError, match="no space"):
        tinies["vector"].write(tmp_path / "b")
    assert contents(tmp_path / "b") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


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
