"""A measurement whose process fails states the reason."""

import pytest

from edgevae.diagnostics import bench
from edgevae.errors import CheckError, ProviderError


def test_a_child_that_fails_says_why(tiny_paths):
    model = str(tiny_paths["grey"])
    with pytest.raises(ProviderError, match="openvino"):
        bench.run_once(bench.Case("edgevae", "openvino"), model)
    with pytest.raises(CheckError, match="InputError"):
        bench.run_once(bench.Case("edgevae", "cpu"), model, batches=(-1,))
    assert "openvino" in (bench.refusal(model, "openvino") or "")
    assert bench.refusal(model, "cpu") is None
