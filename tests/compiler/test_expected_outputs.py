import numpy as np
import pytest
from chains import chain

from edgevae.compiler import expected_outputs
from edgevae.compiler.reading import source_graph
from edgevae.errors import CheckError

Z = np.random.default_rng(0).standard_normal((3, 2), np.float32)


def source(operator: str):
    import onnx_ir as ir

    data = ir.to_proto(chain((2,), (operator, [], {}))).SerializeToString()
    return source_graph.read(data, "decoder")


def test_the_arrays_are_those_of_the_source():
    arrays = expected_outputs.compute({"decoder": source("Neg")}, Z, -Z, 0)
    assert set(arrays) == {"z", "x_hat"}
    expected_outputs.check(source("Neg").model, arrays, "here")
    assert set(expected_outputs.compute({"decoder": source("Neg")}, Z, -Z, 4)) == {
        "z",
        "x_hat",
        "y",
    }


def test_other_outputs_are_refused():
    with pytest.raises(CheckError, match="here: expected x_hat of the self-check to 1e-05"):
        expected_outputs.check(source("Abs").model, {"z": Z, "x_hat": -Z}, "here")


def test_the_tolerance_follows_the_largest_output():
    arrays = {"z": Z, "x_hat": np.float32([[200]]), "mu": Z, "logvar": np.float32([[-3000]])}
    assert expected_outputs.tolerance(arrays, "vae") == pytest.approx(0.3)
    assert expected_outputs.tolerance(arrays, "autoencoder") == pytest.approx(0.02)
