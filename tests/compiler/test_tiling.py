"""Decoding in tiles of decoders that the compiler measured."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import edgevae
from edgevae import compiler
from edgevae.cli.main import main
from edgevae.engine import ort
from edgevae.errors import InputError

UNMEASURED = compiler.Options(measure=False)

SIDE = 12


def decoder(kind: str = "nearest", side: int | str = SIDE) -> bytes:
    """z (2, side, side) -> x_hat (1, 2 side, 2 side): a convolution, an upsampling, another.

    "scatter" upsamples by a transposed convolution, "norm" has a normalisation over the image,
    "bias" adds a number to each pixel, "linear" mixes all cells.
    """
    rng = np.random.default_rng(3)
    constants = {
        "first": rng.standard_normal((4, 2, 3, 3)) / 4,
        "last": rng.standard_normal((1, 4, 3, 3)) / 4,
        "up": rng.standard_normal((4, 4, 4, 4)) / 6,
        "scales": np.array([1, 1, 2, 2]),
        "gain": np.ones(4),
        "shift": np.zeros(4),
        "bias": rng.standard_normal((1, 4, SIDE, SIDE)),
        "mix": rng.standard_normal((SIDE, SIDE)) / 3,
    }
    up = helper.make_node(
        "Resize",
        ["b", "", "scales"],
        ["c"],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    middle = helper.make_node("Relu", ["a"], ["b"])
    if kind == "scatter":
        up = helper.make_node("ConvTranspose", ["b", "up"], ["c"], strides=[2, 2], pads=[1] * 4)
    if kind == "norm":
        middle = helper.make_node("InstanceNormalization", ["a", "gain", "shift"], ["b"])
    if kind == "bias":
        middle = helper.make_node("Add", ["a", "bias"], ["b"])
    if kind == "linear":
        middle = helper.make_node("MatMul", ["a", "mix"], ["b"])
    nodes = [
        helper.make_node("Conv", ["z", "first"], ["a"], pads=[1] * 4),
        middle,
        up,
        helper.make_node("Conv", ["c", "last"], ["d"], pads=[1] * 4),
        helper.make_node("Sigmoid", ["d"], ["x_hat"]),
    ]
    used = {name for node in nodes for name in node.input}
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 2, side, side])
    x_hat = helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, ["n", 1, "h", "w"])
    arrays = [
        numpy_helper.from_array(value.astype(np.float32), name)
        for name, value in constants.items()
        if name in used
    ]
    graph = helper.make_graph(nodes, "g", [z], [x_hat], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="module", params=["nearest", "scatter"])
def pair(request, tmp_path_factory):
    """A bundle of 12 x 12 cells, and its decoder for latents of any size."""
    compiled = compiler.compile(
        decoder(request.param), out=tmp_path_factory.mktemp("b") / "b", options=UNMEASURED
    )
    whole = ort.onnxruntime().InferenceSession(decoder(request.param, "side"))
    return edgevae.load(compiled.bundle.path, "cpu", threads=2), whole


@pytest.mark.parametrize("shape", [(2, 12, 12), (2, 13, 12), (2, 30, 41), (3, 2, 25, 12)])
def test_tiles_that_share_enough_make_the_whole(pair, shape):
    vae, whole = pair
    spec = vae.bundle.tiles
    assert (spec.scale, spec.receptive) == (2, 2)
    z = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (expected,) = whole.run(None, {"z": z.reshape(-1, *shape[-3:])})
    got = vae.decode(z, tile=True, overlap=2 * spec.receptive)
    np.testing.assert_allclose(got, expected.reshape(got.shape), atol=1e-6)
    default = vae.decode(z, tile=True)
    assert np.abs(default - got).max() <= spec.difference + 1e-6 < 1 / 255


def test_out_may_be_a_file(pair, tmp_path):
    vae, _ = pair
    z = np.random.default_rng(0).standard_normal((2, 20, 20)).astype(np.float32)
    out = np.memmap(tmp_path / "x", np.float32, "w+", shape=(1, 40, 40))
    assert vae.decode(z, tile=True, out=out) is out
    np.testing.assert_array_equal(out, vae.decode(z, tile=True))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"z": np.zeros((2, 11, 12))}, r"\(2, H, W\), H from 12 and W from 12 on, got \(2, 11, 12"),
        ({"z": np.zeros((3, 20, 20))}, r"got \(3, 20, 20\)"),
        ({"z": np.zeros((2, 20))}, r"got \(2, 20\)"),
        ({"overlap": 12}, "overlap: expected a whole number from 0 to 11, got 12"),
        ({"out": np.zeros((1, 40, 41), "f4")}, r"out: expected a writable .* \(1, 40, 40\), got"),
        ({"tile": False, "overlap": 3, "z": np.zeros((2, 12, 12))}, "with tile=True alone"),
        ({"tile": False}, r"z: expected shape \(N, 2, 12, 12\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(pair, arguments, says):
    with pytest.raises(InputError, match=says):
        pair[0].decode(**{"z": np.zeros((2, 20, 20)), "tile": True, **arguments})


@pytest.mark.parametrize("kind", ["norm", "bias", "linear"])
def test_a_decoder_that_sees_the_whole_latent_is_not_tiled(tmp_path, kind):
    compiled = compiler.compile(decoder(kind), out=tmp_path / "b", options=UNMEASURED)
    assert compiled.bundle.tiles is None
    with pytest.raises(InputError, match="expected a fully convolutional decoder"):
        edgevae.load(compiled.bundle.path, "cpu").decode(np.zeros((2, 20, 20)), tile=True)


def test_sizes_that_an_exporter_wrote_down_are_seen_through(tmp_path):
    model = onnx.load_from_string(decoder())
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    resize.input[2:] = ["", "sizes"]
    sizes = np.array([1, 4, 2 * SIDE, 2 * SIDE], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(sizes, "sizes"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    compiled = compiler.compile(model.SerializeToString(), out=tmp_path / "b", options=UNMEASURED)
    assert compiled.bundle.tiles is not None


def test_the_command_line_decodes_in_tiles(pair, tmp_path):
    vae, _ = pair
    z = np.random.default_rng(0).standard_normal((2, 20, 14)).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    command = ["decode", str(tmp_path / "z.npy"), "--model", str(vae.bundle.path), "--provider=cpu"]
    assert main([*command, "--tile", "--out", str(tmp_path / "x.npy")]) == 0
    got = np.load(tmp_path / "x.npy")
    np.testing.assert_allclose(got, vae.decode(z[None], tile=True), atol=1e-6)
    assert main([*command, "--tile", "--out", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (28, 40)
    assert main([*command, "--out", str(tmp_path / "x.npy")]) == 4
