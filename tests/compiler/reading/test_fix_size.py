"""Height and width of graphs that take any."""

import onnx.parser
import pytest

from edgevae import compiler
from edgevae.compiler.reading import fix_size, source_graph
from edgevae.errors import InputError

UNMEASURED = compiler.Options(measure=False)


def graph(text: str) -> bytes:
    header = '<ir_version: 8, opset_import: ["" : 18]>'
    return onnx.parser.parse_model(f"{header} g {text}").SerializeToString()


def decoder(sides: str = "h,w") -> bytes:
    """Sizes twice those of z, for latents of any or of given sides."""
    return graph(
        f"(float[n,2,{sides}] z) => (float[n,1,p,q] x_hat) "
        "<float[4] scales = {1, 1, 2, 2}, int64[1] one = {1}> { "
        'y = ReduceMean(z, one)  large = Resize<mode="nearest">(y, , scales) '
        "x_hat = Sigmoid(large) }"
    )


ENCODER = graph(
    "(float[n,1,h,w] x) => (float[n,2,p,q] mu, float[n,2,p,q] logvar) { "
    "small = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x) "
    "mu = Concat<axis=1>(small, small)  logvar = Neg(mu) }"
)


@pytest.mark.parametrize(
    ("size", "pixels"), [([12], (12, 12)), ([12, 20], (12, 20)), ((8, 6), (8, 6))]
)
def test_a_decoder_of_any_size_gets_one(size, pixels, tmp_path):
    compiled = compiler.compile(
        decoder(),
        ENCODER,
        out=tmp_path / "b",
        reading=compiler.Reading(size=size),
        options=UNMEASURED,
    )
    assert compiled.bundle.x_shape == (1, *pixels)
    assert compiled.bundle.latent_shape == (2, pixels[0] // 2, pixels[1] // 2)
    assert any(note.startswith(f"size: {pixels[0]} x {pixels[1]}") for note in compiled.notes)


def test_a_decoder_of_one_free_side_gets_that(tmp_path):
    compiled = compiler.compile(
        decoder("4,w"),
        out=tmp_path / "b",
        reading=compiler.Reading(size=[8, 20]),
        options=UNMEASURED,
    )
    assert compiled.bundle.latent_shape == (2, 4, 10)


@pytest.mark.parametrize(
    ("sides", "size", "match"),
    [
        ("h,w", (), r"then fixed sizes, got shape .*say the height and width .*--size 256"),
        ("h,w", [13], "multiple of 2, by which the decoder enlarges, got 13; pass --size 12"),
        ("h,w", [8, 8, 8], r"expected a size.*got \[8, 8, 8\]"),
        ("h,w", [-8], "expected a size"),
        ("4,4", [16], r"expected a decoder to \[16\] pixels, got one .* \(8, 8\) alone"),
        ("4,w", [16, 16], r"expected a decoder to \[16, 16\] pixels"),
    ],
)
def test_sizes_that_a_graph_cannot_have_are_refused(sides, size, match, tmp_path):
    with pytest.raises(InputError, match=match):
        compiler.compile(
            decoder(sides),
            out=tmp_path / "b",
            reading=compiler.Reading(size=size),
            options=UNMEASURED,
        )
    assert not (tmp_path / "b").exists()


def test_the_size_of_a_fixed_decoder_may_be_said(tmp_path):
    compiled = compiler.compile(
        decoder("4,4"), out=tmp_path / "b", reading=compiler.Reading(size=[8]), options=UNMEASURED
    )
    assert compiled.bundle.x_shape == (1, 8, 8)


def test_an_encoder_of_any_size_gets_that_of_x_hat():
    source = source_graph.read(ENCODER, "encoder", x_shape=(1, 8, 6))
    assert source.item_shape == (1, 8, 6)
    assert source.output_shape == (2, 4, 3)


def test_one_number_is_both_sides():
    assert fix_size.height_and_width(256, "here") == (256, 256)
    assert fix_size.height_and_width([256, 384], "here") == (256, 384)
