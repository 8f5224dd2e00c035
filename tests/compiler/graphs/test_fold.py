import onnx.parser
import onnx_ir as ir

from edgevae.compiler.graphs import constants, fold, shapes


def model(body: str, constants: str = "") -> ir.Model:
    text = f"(float[n,2,3] x) => (float[n,a] y) <{constants}> {{ {body} }}"
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> g {text}')
    model = ir.from_proto(proto)
    model.graph.inputs[0].shape = ir.Shape([shapes.BATCH, 2, 3])
    return model


def test_shape_arithmetic_becomes_a_constant_target():
    graph = model(
        "size = Shape(x)  batch = Gather(size, zero)  target = Concat<axis=0>(batch, rest) "
        "y = Reshape(x, target)",
        "int64[1] zero = {0}, int64[1] rest = {-1}",
    )
    fold.fold(graph)
    assert [node.op_type for node in graph.graph] == ["Reshape"]
    assert constants.value(graph.graph[0].inputs[1]).tolist() == [0, 6]


def test_identity_and_dropout_are_removed():
    graph = model("a = Identity(x)  b = Dropout(a)  c = Relu(b)  y = Flatten(c)")
    fold.fold(graph)
    assert len(graph.graph) == 2
    assert graph.graph[0].op_type == "Relu"


def test_nodes_that_no_output_needs_are_removed():
    graph = model("unused = Neg(x)  y = Flatten(x)")
    fold.clean(graph)
    assert [node.op_type for node in graph.graph] == ["Flatten"]


def test_constants_are_folded_without_shapes():
    graph = model("two = Add(one, one)  z = Mul(x, two)  y = Flatten(z)", "float one = {1}")
    fold.constants_alone(graph)
    assert [node.op_type for node in graph.graph] == ["Mul", "Flatten"]
