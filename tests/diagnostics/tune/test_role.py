"""The divisions of threads that are compared for a provider."""

import pytest

from edgevae.diagnostics.tune import role


@pytest.mark.parametrize(
    ("provider", "planned", "ways"),
    [
        ("cpu", (4, 1), [(4, 1), (2, 2), (1, 4)]),
        ("openvino", (1, 4), [(1, 4), (2, 4), (4, 1), (2, 2)]),
        ("cuda", (2, 4), [(2, 4), (1, 4), (4, 1), (2, 2)]),
    ],
)
def test_the_planned_way_comes_first_and_decides_about_the_chunk(provider, planned, ways):
    assert role._ways(provider, planned, 4) == ways
