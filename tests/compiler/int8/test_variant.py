"""The variant int8 of a bundle: written with its quality, or not at all."""

import json

import numpy as np
import onnx_ir as ir
import pytest
from chains import chain, weights

import edgevae
from edgevae import cli, compiler
from edgevae.compiler.int8 import variant as int8
from edgevae.errors import CheckError


def data(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString()


@pytest.fixture
def decoder() -> bytes:
    arrays = [weights(5, 64), weights(64, 1)[:, 0]]
    wide = [2 * weights(64, 192, seed=1), weights(192, 1)[:, 0]]
    shape = np.array([0, 3, 8, 8])
    return data(
        chain(
            (5,),
            ("Gemm", arrays, {}),
            ("Relu", [], {}),
            ("Gemm", wide, {}),
            ("Reshape", [shape], {}),
            ("Sigmoid", [], {}),
        )
    )


@pytest.fixture
def encoder() -> bytes:
    """mu and logvar in one."""
    layer = [weights(192, 10, seed=2), weights(10, 1)[:, 0]]
    return data(chain((3, 8, 8), ("Flatten", [], {}), ("Gemm", layer, {})))


def compile_it(decoder, path, encoder=None, *, noise=0.0, **options):
    return compiler.compile(
        decoder,
        encoder,
        out=path,
        description=compiler.Description(noise=noise),
        reading=compiler.Reading(x_range=(0, 1)),
        options=compiler.Options(measure=False, int8=compiler.Int8(**options)),
    )


def test_a_bundle_states_the_quality_of_int8(decoder, encoder, tmp_path):
    compiled = compile_it(decoder, tmp_path / "b", encoder)
    quality = compiled.bundle.quality["int8"]
    assert quality["decoder_psnr"] > int8.MIN_PSNR
    assert quality["encoder_psnr"] > int8.MIN_PSNR
    assert 0 < quality["decoder_max_difference"] < 0.5
    check = compiled.bundle.selfcheck()
    assert {"x_hat.int8", "mu.int8", "logvar.int8"} < set(check)
    assert 0 < np.abs(check["x_hat.int8"] - check["x_hat"]).max() < 0.5
    assert compiled.bundle.graph("decoder", "int8").file == "decoder.int8.onnx"
    assert compiled.bundle.graph("encoder", "int8").file == "encoder.int8.onnx"
    plain, small = (edgevae.load(tmp_path / "b", precision=p) for p in ("float32", "int8"))
    x, other = plain.generate(200, seed=9), small.generate(200, seed=9)
    assert abs(int8.psnr(x, other, (0, 1)) - quality["decoder_psnr"]) < 3
    mu, got = plain.encode(x).mu, small.encode(x).mu
    assert 0 < np.abs(mu - got).max() < 2 * quality["encoder_max_difference"]
    assert cli.main(["verify", str(tmp_path / "b"), "--precision", "int8"]) == 0


def test_pixels_below_35_db_are_not_written_unless_forced(decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(int8, "MIN_PSNR", 90.0)
    with pytest.raises(CheckError, match=r"expected its pixels to be at least 90 dB .* got \d"):
        compile_it(decoder, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    compiled = compile_it(decoder, tmp_path / "b", force=True)
    assert compiled.bundle.quality["int8"]["decoder_psnr"] < 90


def test_an_encoder_that_loses_more_stays_in_float32(decoder, encoder, tmp_path, monkeypatch):
    measure = int8.psnr
    calls = []

    def psnr(*arguments):
        calls.append(1)
        return measure(*arguments) if len(calls) == 1 else 20.0

    monkeypatch.setattr(int8, "psnr", psnr)
    compiled = compile_it(decoder, tmp_path / "b", encoder)
    assert [entry.file for entry in compiled.bundle.graphs if entry.precision == "int8"] == [
        "decoder.int8.onnx"
    ]
    assert "encoder_psnr" not in compiled.bundle.quality["int8"]
    assert any("encoder stays in float32" in note and "20.0 dB" in note for note in compiled.notes)


def test_the_encoder_is_calibrated_on_the_passed_items(decoder, encoder, tmp_path):
    x = np.random.default_rng(0).random((40, 3, 8, 8), np.float32)
    one = compile_it(decoder, tmp_path / "one", encoder).bundle
    two = compile_it(decoder, tmp_path / "two", encoder, calibration=x).bundle
    files = [
        [(each.path / each.graph(role, "int8").file).read_bytes() for each in (one, two)]
        for role in ("decoder", "encoder")
    ]
    assert [first != second for first, second in files] == [False, True]


def test_an_encoder_of_noisy_items_is_calibrated_on_such(decoder, encoder, tmp_path):
    """Noise exceeds the range of clean items, and would be clipped to it."""
    clean, noisy = (
        compile_it(decoder, tmp_path / f"noise {noise}", encoder, noise=noise).bundle.path
        for noise in (0.0, 0.8)
    )
    x = np.random.default_rng(2).random((50, 3, 8, 8), np.float32)
    x += 0.8 * np.random.default_rng(3).standard_normal(x.shape, np.float32)
    expected = edgevae.load(clean).encode(x).mu
    errors = [
        np.abs(edgevae.load(path, precision="int8").encode(x).mu - expected).mean()
        for path in (clean, noisy)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_the_verb_makes_int8(decoder, encoder, tmp_path, capsys):
    for name, graph in (("d", decoder), ("e", encoder)):
        (tmp_path / f"{name}.onnx").write_bytes(graph)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((9, 3, 8, 8), np.float32))
    command = ["compile", "--decoder", str(tmp_path / "d.onnx"), "--no-measure"]
    command += ["--encoder", str(tmp_path / "e.onnx"), "--out", str(tmp_path / "b")]
    given = ["--calibration", str(tmp_path / "x.npy")]
    assert cli.main([*command, "--int8", *given]) == 0
    assert "int8: decoder_psnr" in capsys.readouterr().err
    assert cli.main(["info", str(tmp_path / "b"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["bundle"]
    roles = [entry["role"] for entry in facts["graphs"] if entry["precision"] == "int8"]
    assert roles == ["encoder", "decoder"]
    assert facts["quality"]["int8"]["decoder_psnr"] > 35
    out = ["--model", str(tmp_path / "b"), "--out", str(tmp_path / "x.png")]
    assert cli.main(["generate", "4", "--precision", "int8", *out]) == 0
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, *given])


@pytest.mark.parametrize(
    ("x_range", "right", "got", "expected"),
    [
        ((0, 1), 0.5, 0.5, 99.0),
        ((0, 1), 0.5, 0.5 + 1e-4, 99.0),  # the same byte
        ((0, 1), 1.0, 1.5, 99.0),  # beyond the range is its end
        ((0, 1), 0.0, 1 / 255, 48.1308),
        ((-1, 1), -1.0, -1 + 2 / 255, 48.1308),
    ],
)
def test_psnr_is_of_8_bit_pixels(x_range, right, got, expected):
    x = np.full((2, 3), right, np.float32)
    assert int8.psnr(x, np.full_like(x, got), x_range) == pytest.approx(expected, abs=1e-3)


def test_psnr_of_numbers_is_by_their_range():
    x = np.array([[-5.0, 5.0]], np.float32)
    assert int8.psnr(x, x + 1, None) == pytest.approx(20.0)
