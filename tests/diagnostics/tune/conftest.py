"""A bundle with several graphs of each kind."""

from dataclasses import replace

import pytest
from tiny import int8, no_graph

from edgevae.bundle import GraphEntry
from edgevae.diagnostics.tune import rates
from edgevae.engine import targets


@pytest.fixture
def short_measurements(monkeypatch):
    """Let a measurement take as few calls as it can."""
    monkeypatch.setattr(rates, "_PAUSE", 0.0)
    monkeypatch.setattr(rates, "_DURATION", 0.0)


@pytest.fixture
def several(tinies, tmp_path, caches):
    """A bundle with decoders of several targets and one in int8.

    The decoder for this machine is wrong: it gives 0.95 times the pixels of the others, as does the
    one in int8, whose quality is stated. That for other providers is no graph.
    """
    darker = replace(tinies["grey"], x_range=(0.0, 0.95)).decoder()
    further = [
        (GraphEntry("decoder", targets("cpu")[0], "float32"), darker),
        (GraphEntry("decoder", "generic", "float32"), no_graph()),
        (GraphEntry("decoder", "another", "float32"), no_graph("a graph of another machine")),
        int8("decoder", darker),
    ]
    quality = {"int8": {"decoder_psnr": 36.0, "decoder_check_difference": 0.05}}
    return tinies["grey"].write(tmp_path / "b", further=further, quality=quality)
