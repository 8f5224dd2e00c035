import onnx.parser
import onnx_ir as ir

from edgevae.compiler.graphs import rename


def test_names_are_operators_and_numbers():
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18], producer_version: "9"> secret '
        "(float[n,2] x) => (float[n,2] neg_1) <float[2] path = {1, 2}> "
        "{ /model/0 = Neg(x)  /model/1 = Add(/model/0, path)  neg_1 = Neg(/model/1) }".replace(
            "/model/", "model_"
        )
    )
    proto.graph.node[0].doc_string = "File /home/me/model.py"
    model = ir.from_proto(proto)
    rename.tidy(model)
    assert [node.name for node in model.graph] == ["neg_0", "add_0", "neg_1"]
    assert [node.outputs[0].name for node in model.graph] == ["neg_0", "add_0", "neg_1"]
    assert list(model.graph.initializers) == ["add_0.1"]
    data = ir.to_proto(model).SerializeToString()
    for word in (b"secret", b"home", b"model_", b"path"):
        assert word not in data


def test_a_name_that_is_a_port_s_gets_an_underscore():
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[n,2] neg_0) => (float[n,2] y) '
        "{ a = Neg(neg_0)  y = Relu(a) }"
    )
    model = ir.from_proto(proto)
    rename.tidy(model)
    assert model.graph[0].outputs[0].name == "neg_0_"
