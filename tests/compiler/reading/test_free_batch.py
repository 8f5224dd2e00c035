"""Batches that were traced as constants become free, in each form that exporters write."""

import normal_form
import numpy as np
import onnx.parser
import pytest

from edgevae.compiler.graphs import CheckSession
from edgevae.errors import InputError

Z = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)


def graph(text: str) -> bytes:
    header = '<ir_version: 8, opset_import: ["" : 17]>'
    return onnx.parser.parse_model(f"{header} decoder {text}").SerializeToString()


def x_hat(source: bytes, items: np.ndarray = Z) -> np.ndarray:
    return CheckSession(normal_form.read(source), "test").run(items)[0]


def test_reshape_with_the_batch_among_its_sizes():
    source = graph(
        "(float[3,4] z) => (float[3,2,2] y) <int64[3] sizes = {3,2,2}> { y = Reshape(z, sizes) }"
    )
    np.testing.assert_array_equal(x_hat(source), Z.reshape(5, 2, 2))


def test_reshape_that_infers_another_size():
    source = graph(
        "(float[1,4] z) => (float[1,2,2] y) <int64[3] sizes = {1,-1,2}> { y = Reshape(z, sizes) }"
    )
    np.testing.assert_array_equal(x_hat(source), Z.reshape(5, 2, 2))


def test_resize_by_sizes():
    source = graph(
        "(float[1,1,2,2] z) => (float[1,1,4,4] y) <int64[4] sizes = {1,1,4,4}> "
        '{ y = Resize<mode = "nearest">(z, , , sizes) }'
    )
    items = Z[:, None, :, None].reshape(5, 1, 2, 2)
    np.testing.assert_array_equal(x_hat(source, items), items.repeat(2, 2).repeat(2, 3))


def test_a_spatial_broadcast_with_coordinates():
    """z is repeated for each pixel and joined with a constant that has only the traced row."""
    source = graph(
        "(float[1,4] z) => (float[1,5,2,2] y) <int64[4] sizes = {1,4,1,1}, "
        "int64[4] all = {1,4,2,2}, float[1,1,2,2] grid = {1,2,3,4}> "
        "{ a = Reshape(z, sizes) b = Expand(a, all) y = Concat<axis=1>(b, grid) }"
    )
    got = x_hat(source)
    np.testing.assert_array_equal(got[:, :4], np.broadcast_to(Z[:, :, None, None], (5, 4, 2, 2)))
    np.testing.assert_array_equal(got[:, 4].reshape(5, 4), [[1, 2, 3, 4]] * 5)


def test_a_constant_with_a_row_for_each_item_traced():
    source = graph(
        "(float[2,2] z) => (float[2,2] y) <float[2,2] start = {1,2,1,2}> { y = Add(z, start) }"
    )
    np.testing.assert_allclose(x_hat(source, Z[:, :2]), Z[:, :2] + [1, 2])


def test_a_constant_whose_rows_differ_is_refused():
    source = graph(
        "(float[2,2] z) => (float[2,2] y) <float[2,2] start = {1,2,3,4}> { y = Add(z, start) }"
    )
    with pytest.raises(InputError, match="traced as 2 and cannot be made dynamic"):
        normal_form.read(source)


def test_rows_that_depend_on_each_other_are_refused():
    """BatchNorm in training mode is an example, traced with one row or with any."""
    text = (
        "(float[{rows},4] z) => (float[{rows},4] y) <int64[1] axis = {{0}}> "
        "{{ m = ReduceMean<axes=[0]>(z) y = Sub(z, m) }}"
    ).replace(" <int64[1] axis = {{0}}>", "")
    with pytest.raises(InputError, match=r"each row to be computed by itself.*model\.eval"):
        normal_form.read(graph(text.format(rows="n")))
    with pytest.raises(InputError, match="traced as 1 and cannot be made dynamic: rows"):
        normal_form.read(graph(text.format(rows=1)))
