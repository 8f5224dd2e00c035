import numpy as np
import onnx.parser
import pytest

from edgevae.compiler import roles
from edgevae.errors import InputError


def graph(text: str) -> bytes:
    header = '<ir_version: 8, opset_import: ["" : 18]>'
    return onnx.parser.parse_model(f"{header} g {text}").SerializeToString()


DECODER = graph("(float[n,2] z) => (float[n,4] x_hat) { x_hat = Concat<axis=1>(z, z) }")
ENCODER = graph(
    "(float[n,4] x) => (float[n,2] mu, float[n,2] logvar) <int64[2] halves = {2, 2}> "
    "{ mu, logvar = Split<axis=1>(x, halves) }"
)
OTHER = graph("(float[n,3] x) => (float[n,3] mu, float[n,3] logvar) { mu = Neg(x) logvar = Abs(x)}")
WIDE = graph("(float[n,4] x) => (float[n,4] mu, float[n,4] logvar) { mu = Neg(x) logvar = Abs(x)}")
HIDDEN = graph("(float[n,4] x) => (float[n,4] h) { h = Relu(x) }")


def read(encoder=None, activations=None):
    return roles.read(
        DECODER,
        {"encoder": encoder, "activations": activations},
        {"decoder": (), "encoder": ()},
        size=(),
        classes=0,
        point=False,
        note=lambda line: None,
    )


def test_each_graph_is_read_in_its_role():
    sources = read(ENCODER, HIDDEN)
    assert list(sources) == ["decoder", "encoder", "activations"]
    assert sources["decoder"].output_shape == (4,)
    assert sources["activations"].reference.outputs == ["h"]
    roles.check_mu(sources["encoder"], np.zeros((1, 4), np.float32), (2,))


def test_graphs_that_are_absent_are_left_out():
    assert list(read()) == ["decoder"]


def test_a_graph_of_another_x_is_refused():
    with pytest.raises(InputError, match=r"expected a graph of the x .* \(4,\), got one of \(3,\)"):
        read(OTHER)


def test_an_encoder_to_another_latent_is_refused():
    x = np.zeros((1, 4), np.float32)
    with pytest.raises(InputError, match=r"expected mu of the decoder's z, \(2,\), got \(4,\)"):
        roles.check_mu(read(WIDE)["encoder"], x, (2,))
