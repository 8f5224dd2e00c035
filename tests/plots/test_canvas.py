"""The axes of a chart."""

import pytest

from edgevae.plots import canvas


def test_an_axis_covers_its_values_with_round_ticks():
    linear = canvas.Axis([3.0, 870.0], 0, 100, log=False)
    assert linear.ticks == [0, 200, 400, 600, 800, 1000]
    assert linear.at(500) == 50
    decades = canvas.Axis([0.2, 31.0], 0, 300, log=True)
    assert decades.ticks == pytest.approx([0.1, 1, 10, 100])
    assert decades.at(1) == pytest.approx(100)
