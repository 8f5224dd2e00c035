import numpy as np
import onnx.parser
import pytest

from edgevae.compiler.reading import source_graph
from edgevae.errors import InputError


def graph(text: str) -> bytes:
    header = (
        '<ir_version: 8, opset_import: ["" : 18], producer_name: "torch", producer_version: "2"'
    )
    return onnx.parser.parse_model(f"{header}> g {text}").SerializeToString()


def test_a_source_is_the_graph_with_named_ports():
    source = source_graph.read(
        graph("(float[n,2] a) => (float[n,4] b) { b = Concat<axis=1>(a, a) }"), "decoder"
    )
    assert (source.item_shape, source.output_shape) == ((2,), (4,))
    assert (source.where, source.producer) == ("decoder", "torch 2")
    assert source.reference.outputs == ["x_hat"]
    z = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(source.reference.run(z)[0], np.ones((3, 4)))


def test_a_file_names_itself_in_errors(tmp_path):
    path = tmp_path / "d.onnx"
    path.write_bytes(graph("(double[n,2] a) => (double[n,2] b) { b = Neg(a) }"))
    with pytest.raises(InputError, match=r"d\.onnx: expected a to be float32, got double"):
        source_graph.read(path, "decoder")


@pytest.mark.parametrize(("name", "says"), [("none.onnx", "No such file"), ("", "directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, says):
    with pytest.raises(InputError, match=f"expected a file that can be read: .*{says}"):
        source_graph.read(tmp_path / name, "decoder")


def test_functions_are_inlined_and_constants_lifted():
    model = source_graph.open_graph(
        graph("(float[n,2] a) => (float[n,2] b) { c = Constant<value_float=2.0>() b = Mul(a, c) }"),
        "here",
    )
    assert [node.op_type for node in model.graph] == ["Mul"]
    assert len(model.graph.initializers) == 1


def test_a_point_posterior_has_the_least_variance():
    source = source_graph.read(
        graph("(float[n,2] x) => (float[n,2] z) { z = Neg(x) }"), "encoder", point=True
    )
    mu, logvar = source.reference.run(np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(mu, -np.ones((2, 2)))
    np.testing.assert_array_equal(logvar, np.full((2, 2), -30))


def functions(count: int, body: str) -> bytes:
    """Return x -> f<count - 1>(x), where each function's body is `body` by the one before it."""
    header = '<ir_version: 8, opset_import: ["" : 18, "f" : 1]>'
    main = f"{header} g (float[n,2] a) => (float[n,2] b) {{ b = f.f{count - 1}(a) }}"
    each = '<domain: "f", opset_import: ["" : 18, "f" : 1]> f0 (x) => (y) { y = Neg(x) }'
    texts = [each]
    for i in range(1, count):
        called = each.replace("f0 ", f"f{i} ").replace("y = Neg(x)", body.format(i - 1, i))
        texts.append(called)
    return onnx.parser.parse_model("\n".join([main, *texts])).SerializeToString()


@pytest.mark.parametrize(
    ("count", "body", "says"),
    [
        (40, "m = f.f{0}(x) y = f.f{0}(m)", "stand for more than 262144 nodes"),
        (2, "y = f.f{1}(x)", "the function f1, which calls itself"),
        (400, "y = f.f{0}(x)", "nested more than 200 deep"),
    ],
)
def test_functions_without_end_are_refused(count, body, says):
    with pytest.raises(InputError, match=f"expected a graph that ends, got .*{says}"):
        source_graph.open_graph(functions(count, body), "decoder")


def test_few_functions_are_inlined():
    model = source_graph.open_graph(functions(5, "m = f.f{0}(x) y = f.f{0}(m)"), "decoder")
    assert len(model.graph) == 16


def test_loops_are_refused():
    text = """(float[n,2] a) => (float[n,2] b) <int64 m = {9223372036854775807}, bool c = {1}> {
        b = Loop (m, c, a) <body = inner (int64 i, bool k, float[n,2] v)
            => (bool l, float[n,2] w) { l = Identity(k) w = Neg(v) }>
    }"""
    with pytest.raises(InputError, match="got a Loop, which may run for ever; unroll it"):
        source_graph.open_graph(graph(text), "decoder")
