"""An example of each kind of data."""

import pytest

from edgevae.data import Features, Image, Kind, Signal, Text, Vector

FEATURES = Features(("volts", "amps"), (0.0, 1.0), (1.0, 2.0), (0.5, 1.5))


EXAMPLES = {
    "image": Image((3, 4, 5), (-1.0, 1.0)),
    "vector": Vector((2,), None, FEATURES),
    "signal": Signal((2, 6), (0.0, 1.0), FEATURES, stride=3),
    "text": Text("abc", 4, "title"),
}


@pytest.fixture
def examples() -> dict[str, Kind]:
    """A kind with all that it may know, by the name of its class."""
    return EXAMPLES


@pytest.fixture(params=EXAMPLES)
def kind(request) -> Kind:
    """Each of the examples in turn."""
    return EXAMPLES[request.param]
