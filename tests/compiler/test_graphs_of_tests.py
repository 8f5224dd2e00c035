"""The graphs in tests/graphs are those that the script beside them writes."""

import runpy

import onnx
import pytest
from tiny import ALL, GRAPHS

MAKE = runpy.run_path(str(GRAPHS / "make_graphs.py"))["GRAPHS"]


@pytest.mark.parametrize("role", MAKE)
@pytest.mark.parametrize("tiny", ALL, ids=repr)
def test_a_kept_graph_is_the_one_that_the_script_writes(tiny, role):
    assert onnx.load(tiny.graph(role)) == onnx.load_from_string(MAKE[role](tiny))
