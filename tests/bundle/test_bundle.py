"""A bundle that was read: its attributes, graphs and arrays."""

import numpy as np
import pytest
from tiny import int8, no_graph

from edgevae import bundle
from edgevae.errors import BundleError


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_written_files_are_read_back(tinies, tiny_paths, name):
    tiny, read = tinies[name], bundle.read(tiny_paths[name])
    assert (read.kind, read.x_shape, read.x_range) == (tiny.kind, tiny.x_shape, tiny.x_range)
    assert (read.latent_shape, read.components) == (tiny.latent_shape, tiny.components)
    assert (read.noise, read.licence, read.tolerance) == (tiny.noise, "MIT", 1e-4)
    assert read.provenance == {"made by": "tests/conftest.py", "seed": 5}
    assert read.likelihood == {"name": "gaussian", "sigma": 0.1}
    assert (read.path / read.graph("decoder").file).read_bytes() == tiny.decoder()
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


def test_a_precision_stands_in_for_the_roles_it_has(tinies, tmp_path):
    quality = {"int8": {"decoder_psnr": 40.5, "decoder_check_difference": 0.02}}
    written = tinies["grey"].write(
        tmp_path / "b", further=[int8("decoder", no_graph("int8"))], quality=quality
    )
    assert written.precisions == ("float32", "int8")
    assert written.graph("decoder", "int8").file == "decoder.int8.onnx"
    assert (written.path / "decoder.int8.onnx").read_bytes() == no_graph("int8")
    assert written.graph("encoder", "int8") == written.graph("encoder")
    assert written.graph("decoder", "bf16") == written.graph("decoder")
    assert written.quality == quality
    assert written.allowed_difference("decoder", "int8") == pytest.approx(0.0401)
    assert written.allowed_difference("encoder", "int8") == written.tolerance
    assert written.allowed_difference("decoder") == written.tolerance


def test_a_bundle_may_only_decode(tinies, tmp_path):
    written = tinies["grey"].write(tmp_path / "b", encoder=None)
    assert not written.encodes
    assert [entry.file for entry in written.graphs] == ["decoder.onnx"]
    assert written.selfcheck().keys() == {"z", "x_hat"}
    with pytest.raises(BundleError, match="'tiny-image' has no encoder: it only decodes"):
        written.graph("encoder")


def test_a_bundle_may_have_activations(tinies, tiny_paths, tmp_path):
    tiny = tinies["grey"]
    written = tiny.write(tmp_path / "b", activations=tiny.activations())
    assert written.roles == ("encoder", "decoder", "activations")
    assert (written.path / written.graph("activations").file).read_bytes() == tiny.activations()
    with pytest.raises(BundleError, match="no activations: the score `nap` needs them"):
        bundle.read(tiny_paths["grey"]).graph("activations")


def test_arrays_of_no_numbers_are_refused(copy):
    original = bundle.read(copy)
    extended = bundle.extend(
        original, copy, arrays={"statistics.npz": {"mean": np.full(2, np.nan)}}
    )
    with pytest.raises(BundleError, match=r"statistics\.npz: mean must be finite numbers"):
        extended.arrays("statistics.npz")


def test_a_bundle_is_shown_in_one_line(tiny_paths):
    opened = bundle.read(tiny_paths["grey"])
    shown = f"<edgevae.bundle.Bundle 'tiny-image': image of 1 x 8 x 8, {tiny_paths['grey']}>"
    assert repr(opened) == shown
