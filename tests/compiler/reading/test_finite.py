"""Constants become finite: infinity by the largest number, NaN by an error."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import parser

from edgevae.compiler.reading import finite
from edgevae.errors import InputError


def model(constant: np.ndarray) -> ir.Model:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[n,2] a) => (float[n,2] b)
        <float[2] c = {0, 0}> { b = Max(a, c) }"""
    read = ir.from_proto(parser.parse_model(text))
    read.graph.initializers["c"].const_value = ir.tensor(constant)
    return read


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_infinity_becomes_the_largest_number(dtype):
    read = model(np.array([-np.inf, np.inf], dtype))
    finite.make_finite(read, "decoder")
    largest = np.finfo(dtype).max
    got = read.graph.initializers["c"].const_value.numpy()
    assert (got.dtype, got.tolist()) == (dtype, [-largest, largest])


def test_nan_is_refused():
    with pytest.raises(InputError, match="decoder: expected constants that are numbers, got NaN"):
        finite.make_finite(model(np.array([1, np.nan], np.float32)), "decoder")
