"""The shipped bundle `fashion` has the prior and the graphs that the pages state."""

import edgevae
from edgevae.diagnostics import verify


def test_it_draws_from_1024_gaussians_and_every_graph_verifies():
    vae = edgevae.load("fashion", "cpu")
    assert (vae.bundle.prior, vae.bundle.components) == ("mixture", 1024)
    verification = verify.verify(vae)
    assert verification.failed == []
    measures = {each.file: each.measure for each in verification.graphs}
    assert set(measures) == {name for name in vae.bundle.files if name.endswith(".onnx")}
    assert {name for name, measure in measures.items() if measure == "rms"} == {
        "decoder.int8.onnx",
        "encoder.int8.onnx",
    }
