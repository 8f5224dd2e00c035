import numpy as np
import onnx_ir
import pytest
from chains import chain

from edgevae.compiler.graphs import LIMIT, CheckSession, parity
from edgevae.errors import InputError

NEG = chain((2,), ("Neg", [], {}))
X = np.random.default_rng(0).standard_normal((7, 2), np.float32)


def test_equal_graphs_do_not_differ():
    expected = CheckSession(NEG, "one", exactly=True).expected(X)
    np.testing.assert_array_equal(expected.outputs[0], -X)
    assert expected.difference(CheckSession(NEG, "other")) <= LIMIT


def test_a_batch_that_is_insisted_on_is_filled_up():
    session = CheckSession(NEG, "test")
    session.rows = 3
    np.testing.assert_array_equal(session.run(X)[0], -X)


def test_other_graphs_differ():
    expected = CheckSession(NEG, "one").expected(X)
    assert expected.difference(CheckSession(chain((2,), ("Abs", [], {})), "other")) > 0.1


def test_equal_graphs_are_run_once(monkeypatch):
    expected = CheckSession(NEG, "one").expected(X)
    graph = onnx_ir.to_proto(chain((2,), ("Abs", [], {}))).SerializeToString()
    first = expected.difference_of(graph, "other")
    monkeypatch.setattr(parity, "CheckSession", None)
    assert expected.difference_of(graph, "other") == first > 0.1


@pytest.mark.parametrize(
    ("expected", "got", "error"),
    [
        ([1.0], [1.5], 0.5),
        ([10.0, 0.0], [10.0, 1.0], 0.1),
        ([1.0], [np.nan], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_errors_are_relative_to_the_largest_value_above_1(expected, got, error):
    assert parity.relative_error(np.float32(expected), np.float32(got)) == np.float32(error)


def test_each_size_of_batch_is_tried():
    sizes = [rows.stop - rows.start for rows in parity.batches(7)]
    assert sizes == [1] * 7 + [2] * 3 + [7]


def test_a_graph_that_onnxruntime_cannot_open_or_run_is_named():
    with pytest.raises(InputError, match=r"d\.onnx: onnxruntime .* cannot open this graph"):
        CheckSession(b"nothing", "d.onnx")
    with pytest.raises(InputError, match=r"d\.onnx: onnxruntime cannot run this graph"):
        CheckSession(NEG, "d.onnx").run(np.zeros((2, 3), np.float32))
