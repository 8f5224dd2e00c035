import onnx.parser
import onnx_ir as ir

from edgevae.compiler.graphs import shapes


def model() -> ir.Model:
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[n,2,4,6] x) => (y) '
        "<int64[2] target = {-1, 12}> { a = Relu(x)  y = Reshape(a, target) }"
    )
    graph = ir.from_proto(proto)
    graph.graph.inputs[0].shape = ir.Shape([shapes.BATCH, 2, 4, 6])
    return graph


def test_the_batch_is_n_and_a_multiple_of_it_unknown():
    graph = model()
    shapes.infer(graph)
    relu, reshape = graph.graph
    assert shapes.sizes(relu.outputs[0]) == ["n", 2, 4, 6]
    assert shapes.sizes(reshape.outputs[0]) == [None, 12]
    assert shapes.spatial(relu.outputs[0]) == [4, 6]
    assert shapes.spatial(reshape.outputs[0]) is None
    shapes.forget(graph)
    assert shapes.sizes(relu.outputs[0]) is None


def test_sizes_at_a_batch():
    assert shapes.at(model(), 2)["y"] == [8, 12]
    assert shapes.item_shape(model()) == (2, 4, 6)


def test_an_output_keeps_a_shape_that_cannot_be_inferred():
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[n,4,8,8] x, float[4] s) => '
        "(float[n,4,8,8] y) { y = GroupNormalization<num_groups=2>(x, s, s) }"
    )
    graph = ir.from_proto(proto)
    graph.graph.outputs[0].shape = ir.Shape([shapes.BATCH, 4, 8, 8])
    shapes.infer(graph)
    assert shapes.sizes(graph.graph.outputs[0]) == ["n", 4, 8, 8]
