"""Signals: windows of several features, and the step between them."""

import pytest
from tiny import Tiny

from edgevae.data import Features, Signal, kind_from_json
from edgevae.errors import BundleError
from edgevae.json_fields import Fields

FEATURES = Features(("volts", "amps"), (0.0, 1.0), (1.0, 2.0), (0.5, 1.5))


def test_the_window_and_the_rows_follow_from_the_shape():
    signal = Signal((2, 6))
    assert signal.window == 6
    assert signal.row_shapes == ((2,), (2, 6))
    assert signal.feature_names == ("x0", "x1")


def test_features_and_stride_are_described_if_they_are_known():
    assert set(Signal((2, 6)).as_json()) == {"kind", "x"}
    described = Signal((2, 6), None, FEATURES, stride=3).as_json()
    assert described["stride"] == 3
    assert described["features"]["names"] == ["volts", "amps"]
    assert kind_from_json(Fields(described, "m")).stride == 3


def test_a_signal_has_features_and_a_window(tmp_path):
    with pytest.raises(BundleError, match=r"shape must be \[features, window\] for signals"):
        Tiny("signal", (5,), None, (3,)).write(tmp_path / "b")
