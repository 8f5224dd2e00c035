import numpy as np
import pytest
from chains import chain

from edgevae.compiler.reading import infer
from edgevae.errors import InputError


def number(value: float) -> list[np.ndarray]:
    return [np.float32(value)]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([("Sigmoid", [], {})], (0, 1)),
        ([("Tanh", [], {}), ("Add", number(1), {}), ("Div", number(2), {})], (0, 1)),
        ([("Sigmoid", [], {}), ("Mul", number(-255), {})], (-255, 0)),
        ([("Tanh", [], {}), ("Sub", number(0.5), {})], (-1.5, 0.5)),
        ([("Clip", [np.float32(-2), np.float32(3)], {})], (-2, 3)),
        ([("Sigmoid", [], {}), ("Reshape", [np.array([0, 2, 1])], {})], (0, 1)),
    ],
)
def test_the_last_operators_bound_the_output(layers, expected):
    assert infer.x_range(chain((2,), *layers), "here") == expected


@pytest.mark.parametrize("layer", [("Relu", [], {}), ("Exp", [], {})])
def test_an_output_without_bounds_needs_a_range(layer):
    with pytest.raises(
        InputError, match=f"here: expected pixels .*got {layer[0]}; state their range"
    ):
        infer.x_range(chain((2,), layer), "here")


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((1, 8, 8), "image"), ((3, 8, 9), "image"), ((4, 8, 8), "vector"), ((12,), "vector")],
)
def test_one_or_three_channels_are_an_image(shape, kind):
    assert infer.kind(shape) == kind
