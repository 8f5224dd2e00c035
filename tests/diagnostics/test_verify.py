"""A device verifies within the tolerance of the bundle and of the precision."""

import dataclasses

import numpy as np
import pytest
from onnx_bytes import graph, model, node, port, tensor
from tiny import int8, no_graph

import edgevae
from edgevae.bundle import GraphEntry
from edgevae.diagnostics import verify
from edgevae.errors import BundleError, CheckError


@pytest.fixture
def verify_with_error(tiny_paths, monkeypatch):
    """Verify the grey VAE, whose x_hat is off by a difference, as if computed in a precision."""

    def verified(difference: float, precision: str = "float32"):
        vae = edgevae.load(tiny_paths["grey"], "cpu")
        decode = vae.runner.decode
        monkeypatch.setattr(vae.runner, "decode", lambda z, y: decode(z) + np.float32(difference))
        vae.runner.precision = precision
        return verify.verify(vae)

    return verified


def test_right_outputs_pass(verify_with_error):
    verification = verify_with_error(0)
    assert verification.failed == []
    assert [list(each.differences) for each in verification.graphs] == [["mu", "logvar"], ["x_hat"]]
    assert str(verification).count(": ok") == 3


@pytest.mark.parametrize(
    ("difference", "precision", "failed"),
    [
        (1e-3, "float32", ["decoder.onnx (x_hat)"]),
        (np.nan, "float32", ["decoder.onnx (x_hat)"]),
        (1e-3, "bf16", []),
        (0.08, "bf16", ["decoder.onnx (x_hat)"]),
    ],
)
def test_a_difference_beyond_the_precision_fails(verify_with_error, difference, precision, failed):
    verification = verify_with_error(difference, precision)
    assert verification.failed == failed
    assert str(verification).count("FAILED: x_hat") == len(failed)


def test_activations_are_checked_if_the_bundle_has_them(tinies, tmp_path):
    tiny = tinies["grey"]
    path = tiny.write(tmp_path / "b", activations=tiny.activations()).path
    assert "h" in verify.verify(edgevae.load(path)).graphs[-1].differences
    check = tiny.arguments()["selfcheck"]
    wrong = check | {"h": check["h"] + np.float32(1e-3)}
    path = tiny.write(tmp_path / "c", activations=tiny.activations(), selfcheck=wrong).path
    assert verify.verify(edgevae.load(path)).failed == ["activations.onnx (h)"]


def test_graphs_that_are_not_in_use_are_checked_on_the_cpu(tinies, tmp_path):
    """The graph for another processor gives other outputs."""
    tiny = tinies["grey"]
    wrong = dataclasses.replace(tiny, x_range=(0.0, 0.95)).decoder()
    entry = GraphEntry("decoder", "pdp11", "float32")
    path = tiny.write(tmp_path / "b", further=[(entry, wrong)]).path
    verification = verify.verify(edgevae.load(path, "cpu"))
    assert verification.failed == ["decoder.pdp11.onnx (x_hat)"]
    assert [each.in_use for each in verification.graphs] == [True, True, False]
    path = tiny.write(tmp_path / "c", further=[(entry, no_graph())]).path
    with pytest.raises(BundleError, match=r"decoder\.pdp11\.onnx: onnxruntime .* cannot open"):
        verify.verify(edgevae.load(path, "cpu"))


def test_a_graph_that_gives_nan_fails_and_gives_no_scores(tinies, tmp_path):
    """The weights are finite; log(-1 - z^2) is not a number."""
    ones = tensor("ones", np.ones(4, "<f4").tobytes())
    wide = tensor("flat", np.ones(256, "<f4").tobytes())
    sizes = tensor("sizes", np.array([4, 64, -1, 1, 8, 8], "<i8").tobytes(), dtype=7)
    nodes = [
        node("Mul", "z z", "a"),
        node("Add", "a ones", "b"),
        node("Neg", "b", "c"),
        node("Log", "c", "d"),
        node("Split", "sizes parts", "two four"),
        node("Reshape", "flat two", "w"),
        node("MatMul", "d w", "e"),
        node("Reshape", "e four", "x_hat"),
    ]
    parts = tensor("parts", np.array([2, 4], "<i8").tobytes(), dtype=7)
    main = graph(
        nodes, [port("z", "n", 4)], [port("x_hat", "n", 1, 8, 8)], [ones, wide, sizes, parts]
    )
    tiny = tinies["grey"]
    vae = edgevae.load(tiny.write(tmp_path / "b", decoder=model(main)).path, "cpu")
    assert verify.verify(vae).failed == ["decoder.onnx (x_hat)"]
    x = tiny.arguments()["selfcheck"]["x"]
    for method in ("recon", "elbo"):
        with pytest.raises(CheckError, match="expected scores that are numbers, got NaN"):
            vae.score(x, method)
    with pytest.raises(CheckError, match="got NaN"):
        vae.calibrate(np.tile(x, (10, 1, 1, 1)), 0.5)


@pytest.mark.parametrize(("decibels", "passes"), [(51, True), (49, False)])
def test_int8_agrees_with_its_own_outputs_to_50_db(tinies, tmp_path, decibels, passes):
    """Its outputs differ from those in float32 by more."""
    tiny = tinies["grey"]
    dim = dataclasses.replace(tiny, x_range=(0.0, 0.95))
    check = tiny.arguments()["selfcheck"]
    right = dim.decode(check["z"]).astype(np.float32)
    noise = np.random.default_rng(0).choice([-1, 1], right.shape) * np.ptp(right)
    own = {"x_hat.int8": (right + noise * 10 ** (-decibels / 20)).astype(np.float32)}
    further = [int8("decoder", dim.decoder())]
    path = tiny.write(tmp_path / "b", further=further, selfcheck=check | own).path
    for precision in ("float32", "int8"):
        verification = verify.verify(edgevae.load(path, "cpu", precision=precision))
        (checked,) = (each for each in verification.graphs if each.precision == "int8")
        assert (checked.measure, checked.in_use) == ("rms", precision == "int8")
        assert verification.failed == ([] if passes else ["decoder.int8.onnx (x_hat)"])


def test_constant_outputs_of_int8_agree_to_the_tolerance():
    """They have no range that decibels could refer to."""
    assert verify._int8_limit(np.ones(3, np.float32), 1e-4) == 1e-4
