import numpy as np
import pytest
from chains import chain

from edgevae.compiler.graphs import CheckSession, rename
from edgevae.compiler.reading import channels_last


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), True),
        ((8, 9, 3), True),
        ((3, 28, 28), False),
        ((7, 8, 3), False),
        ((28, 28, 4), False),
        ((28, 28), False),
    ],
)
def test_images_are_known_by_their_last_axis(shape, expected):
    assert channels_last.channels_last(shape) == expected


def test_input_and_output_are_transposed():
    model = chain((8, 9, 3), ("Neg", [], {}))  # whose output was turned when it was read
    channels_last.turn_input(model)
    rename.tidy(model)
    session = CheckSession(model, "test")
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 9), np.float32)
    np.testing.assert_array_equal(session.run(x)[0], -x)
    assert session.outputs == ["x_hat"]
