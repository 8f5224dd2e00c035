import numpy as np
import onnx_ir as ir
import pytest

from edgevae.compiler.graphs import class_input


class Port:
    def __init__(self, name: str) -> None:
        self.name = name


class Session:
    """The part of an onnxruntime session that `feeds` uses."""

    def __init__(self, *names: str, count: int = 3) -> None:
        self._ports, self.custom_metadata_map = [Port(name) for name in names], {"classes": count}

    def get_inputs(self):
        return self._ports

    def get_modelmeta(self):
        return self


def rows(count: int = 200) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 4), np.float32)


def test_the_class_of_a_row_is_the_same_in_any_batch():
    numbers = class_input.pseudo_random(rows(), 3)
    assert numbers.dtype == np.int64
    assert set(numbers) == {0, 1, 2}
    np.testing.assert_array_equal(class_input.pseudo_random(rows()[7:9], 3), numbers[7:9])


def test_a_graph_without_classes_is_fed_rows_alone():
    assert list(class_input.feeds(Session("z"), rows())) == ["z"]


@pytest.mark.parametrize("y", [None, np.zeros(200, np.int64)])
def test_a_conditional_graph_is_fed_classes(y):
    feeds = class_input.feeds(Session("z", "y"), rows(), y)
    expected = class_input.pseudo_random(rows(), 3) if y is None else y
    np.testing.assert_array_equal(feeds["y"], expected)


def test_the_number_of_classes_is_kept():
    one, other = (ir.Model(ir.Graph([], [], nodes=[]), ir_version=8) for _ in range(2))
    class_input.keep(one, other)
    assert other.metadata_props == {}
    class_input.mark(one, 5)
    class_input.keep(one, other)
    assert other.metadata_props == {"classes": "5"}
