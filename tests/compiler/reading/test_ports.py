import normal_form
import numpy as np
import onnx.parser
import pytest

from edgevae.compiler.graphs import CheckSession
from edgevae.errors import InputError


def graph(text: str, opset: int = 18) -> bytes:
    header = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    model = onnx.parser.parse_model(f"{header} g {text}")
    return model.SerializeToString()


def encoder(first: str, second: str, third: str = "") -> bytes:
    """The halves of x, the first doubled, under these names."""
    more = f", float[n,4] {third}" if third else ""
    last = f"{third} = Neg(image)" if third else ""
    return graph(
        f"(float[n,4] image) => (float[n,2] {first}, float[n,2] {second}{more}) "
        f"<int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] four = {{4}}, "
        f"int64[1] one = {{1}}> {{ "
        f"half = Slice(image, zero, two, one)  {first} = Add(half, half) "
        f"{second} = Slice(image, two, four, one) {last} }}"
    )


X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


def run(model) -> dict[str, np.ndarray]:
    runner = CheckSession(model, "test")
    return dict(zip(runner.outputs, runner.run(X), strict=True))


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        (encoder("mu", "logvar"), ()),
        (encoder("z_mean", "z_log_var"), ()),
        (encoder("loc", "log_variance"), ()),
        (encoder("a", "b"), ()),
        (encoder("a", "b", "z"), ()),
        (encoder("logvar", "mu"), ("logvar", "mu")),
        (encoder("mean", "sigma"), ("mean", "sigma")),
    ],
)
def test_mu_and_logvar_are_found_by_name_else_by_order(source, asked):
    model = normal_form.read(source, "encoder", outputs=asked, latent_shape=(2,))
    assert [value.name for value in model.graph.inputs] == ["x"]
    np.testing.assert_array_equal(run(model)["mu"], 2 * X[:, :2])
    np.testing.assert_array_equal(run(model)["logvar"], X[:, 2:])
    assert list(run(model)) == ["mu", "logvar"]


def test_names_go_before_order():
    model = normal_form.read(encoder("log_var", "mean"), "encoder", latent_shape=(2,))
    np.testing.assert_array_equal(run(model)["mu"], X[:, 2:])


def test_chosen_and_ignored_outputs_are_reported():
    notes = []
    normal_form.read(encoder("a", "b", "extra"), "encoder", latent_shape=(2,), note=notes.append)
    assert notes == ["encoder: took a as mu, b as logvar", "encoder: left out extra"]


ONE = "(float[n,4] image) => (float[n,4] moments) { moments = Neg(image) }"


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_one_output_of_twice_the_latent_is_split(opset):
    notes = []
    model = normal_form.read(graph(ONE, opset), "encoder", latent_shape=(2,), note=notes.append)
    np.testing.assert_array_equal(run(model)["mu"], -X[:, :2])
    np.testing.assert_array_equal(run(model)["logvar"], -X[:, 2:])
    assert "split moments: channels 0..1 as mu, the rest as logvar" in notes[0]


def test_channels_of_a_spatial_latent_are_split():
    text = "(float[n,6,2,2] x) => (float[n,6,2,2] moments) { moments = Neg(x) }"
    model = normal_form.read(graph(text), "encoder", latent_shape=(3, 2, 2))
    items = np.random.default_rng(0).standard_normal((2, 6, 2, 2), np.float32)
    mu, logvar = CheckSession(model, "test").run(items)
    np.testing.assert_array_equal(mu, -items[:, :3])
    np.testing.assert_array_equal(logvar, -items[:, 3:])


def test_one_value_may_be_both_outputs():
    text = "(float[n,4] x) => (float[n,4] mu, float[n,4] logvar) {mu = Neg(x) logvar = Identity(x)}"
    assert list(run(normal_form.read(graph(text), "encoder", latent_shape=(4,)))["logvar"][0]) == [
        1,
        2,
        3,
        4,
    ]


REFUSED = {
    "one input": "(float[n,2] z, float[n,2] label) => (float[n,2] y) { y = Add(z, label) }",
    "to be float32, got float16": "(float16[n,2] z) => (float16[n,2] y) { y = Neg(z) }",
    "to be float32, got double": "(double[n,2] z) => (double[n,2] y) { y = Neg(z) }",
    "expected y to be float32, got int64": "(float[n,2] z) => (int64[n,2] y) { y = Cast<to=7>(z) }",
    "then fixed sizes, got shape": "(float[n,2,h,w] z) => (float[n,2,h,w] y) { y = Neg(z) }",
    "a deterministic graph, got RandomNormalLike": (
        "(float[n,2] z) => (float[n,2] y) { eps = RandomNormalLike(z) y = Add(z, eps) }"
    ),
    "expected x_hat to have a row for each": (
        "(float[n,2] z) => (float[2,n] y) { y = Transpose<perm=[1,0]>(z) }"
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_graph_that_cannot_be_a_decoder_is_refused(message):
    with pytest.raises(InputError, match=message):
        normal_form.read(graph(REFUSED[message]))


def test_a_standard_deviation_is_not_taken_for_a_log_variance():
    with pytest.raises(InputError, match="output sigma, which looks like a standard deviation"):
        normal_form.read(encoder("mu", "sigma"), "encoder", latent_shape=(2,))


def test_an_encoder_without_a_variance_is_refused():
    with pytest.raises(
        InputError, match=r"or one of \(8,\) that holds both, got moments of \(4,\)"
    ):
        normal_form.read(graph(ONE), "encoder", latent_shape=(4,))


def test_outputs_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="among a, b, got mean, b"):
        normal_form.read(encoder("a", "b"), "encoder", outputs=["mean", "b"])


def test_channels_last_are_put_first():
    """Keras has such images; the transposition that its exporter adds is removed."""
    text = (
        "(float[n,3,8,9] z) => (float[n,8,9,3] y) { w = Sigmoid(z) "
        "y = Transpose<perm=[0,2,3,1]>(w) }"
    )
    model = normal_form.read(graph(text))
    assert [node.op_type for node in model.graph] == ["Sigmoid"]
    assert model.graph.outputs[0].shape == ["n", 3, 8, 9]


def test_an_encoder_of_channels_last_takes_them_first():
    text = (
        "(float[n,8,9,3] x) => (float[n,3,8,9] mu, float[n,3,8,9] logvar) "
        "{ mu = Transpose<perm=[0,3,1,2]>(x) logvar = Neg(mu) }"
    )
    model = normal_form.read(graph(text), "encoder")
    assert model.graph.inputs[0].shape == ["n", 3, 8, 9]
    items = np.random.default_rng(0).standard_normal((2, 3, 8, 9), np.float32)
    mu, logvar = CheckSession(model, "test").run(items)
    np.testing.assert_array_equal(mu, items)
    np.testing.assert_array_equal(logvar, -items)
