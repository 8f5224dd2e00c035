import onnx.parser
import onnx_ir as ir
import pytest

from edgevae.compiler.reading import source_graph, unsample


def encoder(body: str) -> bytes:
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[n,2] x) => (float[n,2] z) '
        f"<float half = {{0.5}}, float two = {{2}}> {{ {body} }}"
    ).SerializeToString()


HEAD = "mean = Neg(x)  logs = Abs(x)  "


@pytest.mark.parametrize(
    "body",
    [
        "h = Mul(logs, half) s = Exp(h) e = RandomNormalLike(mean) n = Mul(s, e) z = Add(mean, n)",
        "h = Div(logs, two) s = Exp(h) e = RandomNormalLike(mean) n = Mul(e, s) z = Add(n, mean)",
        "h = Mul(half, logs) s = Exp(h) r = RandomNormalLike(mean) e = Identity(r) n = Mul(s, e) "
        "z = Add(mean, n)",
    ],
)
def test_a_drawn_latent_is_replaced_by_its_distribution(body):
    notes = []
    model = source_graph.read(encoder(HEAD + body), "encoder", note=notes.append).model
    assert [value.name for value in model.graph.outputs] == ["mu", "logvar"]
    assert [value.producer().op_type for value in model.graph.outputs] == ["Neg", "Abs"]
    assert "z is drawn in the graph" in notes[0]


@pytest.mark.parametrize(
    "body",
    [
        "s = Exp(logs) e = RandomNormalLike(mean) n = Mul(s, e) z = Add(mean, n)",
        "h = Mul(logs, half) s = Exp(h) e = RandomNormalLike<scale=2.0>(mean) n = Mul(s, e) "
        "z = Add(mean, n)",
        "z = Add(mean, logs)",
    ],
)
def test_other_noise_is_none_of_a_vae(body):
    model = ir.from_proto(onnx.load_from_string(encoder(HEAD + body)))
    assert unsample.unsample(model.graph.outputs[0], "encoder", print) is None
