"""The writer: a bundle appears complete, or not at all."""

from pathlib import Path

import numpy as np
import pytest
from tiny import int8

from edgevae import atomic, bundle
from edgevae.errors import BundleError


def test_an_extended_bundle_is_the_same_with_more(tiny_paths, tmp_path):
    original = bundle.read(tiny_paths["grey"])
    assert original.arrays("statistics.npz") is None
    statistics = {"mean": np.arange(3, dtype=np.float32), "wide": np.array([1 / 3])}
    extended = bundle.extend(
        original,
        tmp_path / "b",
        arrays={"statistics.npz": statistics, "calibration.npz": {}},
        fields={"calibration": {"alpha": 0.01, "precision": "float32"}},
    )
    assert extended.calibration == {"alpha": 0.01, "precision": "float32"}
    read = extended.arrays("statistics.npz")
    assert read["wide"][0] == 1 / 3  # to the last bit: float64 stays so
    np.testing.assert_array_equal(read["mean"], statistics["mean"])
    for name in original.files:
        assert (extended.path / name).read_bytes() == (original.path / name).read_bytes()
    assert extended.likelihood == original.likelihood


def test_a_bundle_can_be_extended_in_place(copy):
    before = bundle.read(copy)
    bundle.extend(before, copy, arrays={"statistics.npz": {"mean": np.zeros(2)}})
    after = bundle.read(copy)
    assert set(after.files) == {*before.files, "statistics.npz"}
    with pytest.raises(BundleError, match=r"calibration\.npz.*which a calibration needs"):
        bundle.extend(after, copy, fields={"calibration": {"alpha": 0.5}})
    assert bundle.read(copy).files == after.files


def test_a_bundle_is_the_same_bytes_each_time(tinies, tmp_path, contents):
    one, two = (tinies["grey"].write(tmp_path / name).path for name in ("one", "two"))
    assert contents(one) == contents(two)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "name must be a string"),
        ({"kind": "audio"}, "kind must be"),
        ({"noise": float("nan")}, "finite numbers only"),
        ({"provenance": {"by": Path()}}, "strings and finite numbers only"),
        ({"selfcheck": {"x": np.zeros((1, 1, 8, 8))}}, "expected arrays x, mu, logvar, z, x_hat"),
        ({"further": [int8("decoder", b"")], "quality": {"int9": {}}}, "not of 'int9'"),
        ({"encoder": None, "further": [int8("encoder", b"")]}, "with a float32 encoder"),
        ({"latent_shape": (5,)}, r"means must have shape \(5, 5\), got \(5, 4\)"),
    ],
)
def test_an_invalid_bundle_is_not_written(tinies, tmp_path, changes, says, contents):
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


def test_a_bundle_is_replaced_completely(tinies, tmp_path):
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
        ("folder", r"refused to replace a folder that is not a bundle \(thesis\.txt\)"),
        ("mixed", r"holds more than a bundle \(notes\.txt\)"),
    ):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(BundleError, match=says):
            tinies["grey"].write(tmp_path / name)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_an_interrupted_replacement_leaves_the_old_bundle(tinies, tmp_path, monkeypatch, contents):
    tinies["grey"].write(tmp_path / "b")
    before = contents(tmp_path / "b")
    rename = Path.rename

    def fail_on_the_second(self, target):
        if self.suffix == ".draft":
            raise OSError("no space left on device")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_swap", lambda one, other: False)  # as where none can be swapped
    monkeypatch.setattr(Path, "rename", fail_on_the_second)
    with pytest.raises(BundleError, match="cannot be written: no space"):
        tinies["vector"].write(tmp_path / "b")
    assert contents(tmp_path / "b") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]
