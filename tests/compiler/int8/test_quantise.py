"""Int8 graphs compute nearly the same numbers with integer kernels."""

import normal_form
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from chains import chain, weights
from hypothesis import given, settings
from random_decoders import decoders

from edgevae.compiler.graphs.parity import CheckSession
from edgevae.compiler.int8 import quantise
from edgevae.engine import onnxruntime


def items(model: ir.Model, rows: int = 64, seed: int = 3) -> np.ndarray:
    shape = [size for size in model.graph.inputs[0].shape if isinstance(size, int)]
    return np.random.default_rng(seed).standard_normal((rows, *shape), np.float32)


def noise(model: ir.Model, quantised: ir.Model) -> float:
    """Return the relative root mean square error of the quantised graph on other inputs.

    It is relative to the standard deviation of the output, but at least to four of 255 steps of
    the largest output: numbers that vary less than that are constant for 8 bits.
    """
    z = items(model, seed=4)
    (right,), (got,) = CheckSession(model, "right").run(z), CheckSession(quantised, "int8").run(z)
    assert right.shape == got.shape
    assert np.isfinite(got).all()
    scale = max(float(right.std()), 4 * float(np.abs(right).max()) / 255)
    error = float(np.sqrt(np.square(right - got).mean()))
    return error / scale if scale else error  # a Relu may leave only zeros


def fused(quantised: ir.Model, path) -> list[str]:
    """Return the operators of a graph after the optimisations of onnxruntime."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path / "optimised.onnx")
    options.log_severity_level = 4
    data = ir.to_proto(quantised).SerializeToString()
    ort.InferenceSession(data, options, ["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(path / "optimised.onnx").graph.node]


def conv(outputs, inputs, kernel=3, seed=0, **attributes):
    pads = [kernel // 2] * 4
    arrays = [weights(outputs, inputs, kernel, kernel, seed=seed), weights(outputs, 1)[:, 0]]
    return "Conv", arrays, {"kernel_shape": [kernel] * 2, "pads": pads, **attributes}


def dcgan(activation=("Relu", [], {})) -> ir.Model:
    """z (6,) to 3 x 16 x 16 pixels, in the shape of many decoders."""
    up = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4}
    return chain(
        (6,),
        ("Gemm", [weights(6, 256), weights(256, 1)[:, 0]], {}),
        activation,
        ("Reshape", [np.array([0, 16, 4, 4])], {}),
        ("ConvTranspose", [weights(16, 16, 4, 4), weights(16, 1)[:, 0]], up),
        activation,
        conv(16, 16, seed=1),
        activation,
        ("ConvTranspose", [weights(16, 3, 4, 4, seed=2), weights(3, 1)[:, 0]], up),
        ("Sigmoid", [], {}),
    )


@pytest.mark.parametrize("activation", [("Relu", {}), ("LeakyRelu", {"alpha": 0.2}), ("Elu", {})])
def test_a_decoder_keeps_its_pixels(activation):
    kind, attributes = activation
    model = dcgan((kind, [], attributes))
    assert noise(model, quantise.quantise(model, items(model))) < 0.05


def test_expensive_layers_run_on_integers(tmp_path):
    model = dcgan()
    kinds = fused(quantise.quantise(model, items(model)), tmp_path)
    assert kinds.count("QLinearConv") == 5  # four phases and one
    assert (kinds.count("QGemm"), kinds.count("MatMulIntegerToFloat")) == (1, 1)  # and the last one
    assert not {"Conv", "ConvTranspose", "Relu", "MatMul"} & set(kinds)
    # Between two convolutions images stay as the kernels have them.
    assert kinds.count("Transpose") <= 4
    assert kinds.count("QuantizeLinear") == 1


def test_a_residual_block_keeps_its_pixels():
    z = ir.val("z", ir.DataType.FLOAT, ["n", 8, 5, 5])
    tape = ir.tape.Tape()

    def constant(array, name):
        return tape.initializer(ir.tensor(array, name=name))

    x = z
    for number in range(3):
        name = f"w{number}"
        y = tape.op(
            "Conv", [x, constant(3 * weights(8, 8, 3, 3, seed=number), name)], {"pads": [1] * 4}
        )
        x = tape.op("Relu", [tape.op("Add", [x, y])])
    x.name, x.dtype, x.shape = "x_hat", ir.DataType.FLOAT, ir.Shape(["n", 8, 5, 5])
    graph = ir.Graph(
        [z], [x], nodes=tape.nodes, initializers=tape.initializers,
        opset_imports={"": 18}, name="residual",
    )  # fmt: skip
    proto = ir.to_proto(ir.Model(graph, ir_version=8))
    model = normal_form.read(proto.SerializeToString())
    assert noise(model, quantise.quantise(model, items(model))) < 0.03


def test_channels_of_different_sizes_are_equalised():
    gains = np.geomspace(0.01, 10, 16).astype(np.float32)
    first, second = conv(16, 8, seed=1), conv(8, 16, seed=2)
    wide = first[1][0] * gains[:, None, None, None]
    narrow = second[1][0] / gains[None, :, None, None]
    model = chain(
        (8, 6, 6),
        ("Conv", [wide, first[1][1] * gains], first[2]),
        ("Relu", [], {}),
        ("Conv", [narrow, second[1][1]], second[2]),
    )
    assert noise(model, quantise.quantise(model, items(model))) < 0.05


def test_dead_channels_and_constant_values():
    zero = np.zeros((16, 8, 3, 3), np.float32)
    model = chain(
        (8, 4, 4),
        ("Conv", [zero, np.full(16, 0.5, np.float32)], {"kernel_shape": [3, 3], "pads": [1] * 4}),
        ("Relu", [], {}),
        conv(8, 16),
        ("Relu", [], {}),
        conv(8, 8),
    )
    z = items(model)
    (right,) = CheckSession(model, "right").run(z)
    (got,) = CheckSession(quantise.quantise(model, z), "int8").run(z)
    np.testing.assert_allclose(got, right, atol=0.02 * np.abs(right).max())


def test_the_same_graph_each_time():
    model = dcgan()
    before = ir.to_proto(model).SerializeToString()
    one, two = (ir.to_proto(quantise.quantise(model, items(model))) for _ in range(2))
    assert one.SerializeToString() == two.SerializeToString()
    assert ir.to_proto(model).SerializeToString() == before
    onnx.checker.check_model(one, full_check=True)


@given(decoder=decoders())
@settings(max_examples=30, deadline=None)
def test_any_decoder_is_quantised(decoder):
    model = normal_form.read(decoder.graph)
    quantised = quantise.quantise(model, items(model))
    assert noise(model, quantised) < 0.5
