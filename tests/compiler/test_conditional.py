"""A conditional decoder, through the compiler."""

import normal_form
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgevae
from edgevae import compiler
from edgevae.compiler.graphs import CheckSession, class_input
from edgevae.compiler.reading import source_graph
from edgevae.diagnostics import verify as selfcheck
from edgevae.engine import onnxruntime
from edgevae.errors import InputError

NAMES = ("Boot", "Coat", "Hat")


def decoder(label: str = "label", *, one_hot: bool = False, rows: str | int = "n") -> bytes:
    """x_hat = sigmoid(conv(concat(z, embedding))), with the inputs in the exporter's order."""
    rng = np.random.default_rng(3)
    z = helper.make_tensor_value_info("latent", TensorProto.FLOAT, [rows, 2, 4, 4])
    y = helper.make_tensor_value_info(label, TensorProto.INT64, [rows])
    if one_hot:
        y = helper.make_tensor_value_info(label, TensorProto.FLOAT, [rows, 3])
    constants = {
        "table": rng.standard_normal((3, 16)).astype(np.float32),
        "plane": np.array([-1, 1, 4, 4], np.int64),
        "w": rng.standard_normal((1, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node(
            "MatMul" if one_hot else "Gather", [label, "table"][:: -1 + 2 * one_hot], ["told"]
        ),
        helper.make_node("Reshape", ["told", "plane"], ["map"]),
        helper.make_node("Concat", ["latent", "map"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "w"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["logits"], ["image"]),
    ]
    out = helper.make_tensor_value_info("image", TensorProto.FLOAT, [rows, 1, 4, 4])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [y, z], [out], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize("int8", [False, True])
def test_a_conditional_decoder_is_compiled(tmp_path, int8):
    compiled = compiler.compile(
        decoder(),
        out=tmp_path / "b",
        description=compiler.Description(classes=NAMES),
        options=compiler.Options(measure=False, int8=compiler.Int8(force=True) if int8 else None),
    )
    assert compiled.bundle.classes == NAMES
    check = compiled.bundle.selfcheck()
    assert check["y"].dtype == np.int64
    assert len(set(check["y"])) > 1
    for precision in ("float32", "int8") if int8 else ("float32",):
        vae = edgevae.load(compiled.bundle.path, "cpu", precision=precision)
        assert not selfcheck.verify(vae).failed
        boots, hats = (vae.decode(check["z"], labels=label) for label in ("boot", "hat"))
        assert np.abs(boots - hats).max() > 0.1


def test_the_written_graph_is_the_input_graph(tmp_path):
    described = compiler.Description(classes=NAMES)
    compiler.compile(decoder(), out=tmp_path / "b", description=described)
    vae = edgevae.load(tmp_path / "b", "cpu")
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((7, 2, 4, 4)).astype(np.float32), rng.integers(0, 3, 7)
    session = onnxruntime().InferenceSession(decoder())
    (expected,) = session.run(None, {"latent": z, "label": y})
    np.testing.assert_allclose(vae.decode(z, labels=y), expected, atol=1e-5)


def test_a_batch_that_was_traced_is_freed_of_both_inputs():
    model = normal_form.of(source_graph.read(decoder(rows=2), "decoder", classes=3))
    assert [str(port.shape) for port in model.graph.inputs] == ["[n,2,4,4]", "[n]"]
    z = np.random.default_rng(0).standard_normal((5, 2, 4, 4)).astype(np.float32)
    assert CheckSession(model, "freed").run(z)[0].shape == (5, 1, 4, 4)


def test_a_row_s_class_does_not_depend_on_its_batch():
    z = np.random.default_rng(0).standard_normal((300, 2, 4, 4)).astype(np.float32)
    y = class_input.pseudo_random(z, 3)
    np.testing.assert_array_equal(class_input.pseudo_random(z[7:9], 3), y[7:9])
    assert min(np.bincount(y)) > 50


@pytest.mark.parametrize(
    ("graph", "names", "says"),
    [
        ({}, (), "expected the names of the classes that input label numbers, got none"),
        ({"one_hot": True}, NAMES, "expected one input, z, got label, latent"),
    ],
)
def test_a_class_input_that_cannot_be_inferred_is_refused(tmp_path, graph, names, says):
    described = compiler.Description(classes=names)
    with pytest.raises(InputError, match=says):
        compiler.compile(decoder(**graph), out=tmp_path / "b", description=described)


def test_classes_without_an_input_for_them_are_refused(tmp_path, tinies):
    described = compiler.Description(classes=NAMES)
    with pytest.raises(InputError, match="expected a second input, y"):
        compiler.compile(tinies["grey"].decoder(), out=tmp_path / "b", description=described)
