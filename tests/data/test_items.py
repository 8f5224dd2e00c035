"""Items: shapes and values are checked, and results return to the caller's type."""

import numpy as np
import pytest

from edgevae.data.items import Items, batched, check_values
from edgevae.errors import InputError

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_a_single_item_has_a_single_result():
    np.testing.assert_array_equal(Items(ROWS, list).back(ROWS), ROWS)
    np.testing.assert_array_equal(Items(ROWS[:1], list, single=True).back(ROWS[:1]), ROWS[0])


def test_several_results_stand_behind_the_axis_of_items():
    x_hat = np.arange(24, dtype=np.float32).reshape(4, 3, 2)  # four of each of three items
    several = Items(ROWS, lambda rows: rows).several(x_hat)
    np.testing.assert_array_equal(several, x_hat.swapaxes(0, 1))
    lists = Items(ROWS, lambda rows: [row.tolist() for row in rows])
    assert lists.several(x_hat) == x_hat.swapaxes(0, 1).tolist()
    single = Items(ROWS[:1], lambda rows: rows, single=True)
    np.testing.assert_array_equal(single.several(x_hat[:, :1]), x_hat[:, 0])


def test_a_batch_axis_is_added_to_a_single_item():
    assert batched(ROWS, (2,))[1] is False
    batch, single = batched(ROWS, (3, 2))
    assert (batch.shape, single) == ((1, 3, 2), True)
    with pytest.raises(
        InputError, match=r"expected float32 of shape \(N, 4\) or \(4\), got \(3, 2\)"
    ):
        batched(ROWS, (4,))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_row_that_is_not_finite_is_named(bad):
    rows = ROWS.copy()
    rows[1, 0] = bad
    with pytest.raises(InputError, match=r"in row 1 \(1 of 3 rows\)"):
        check_values(rows, None)


def test_values_may_exceed_the_range_by_four_times_its_width():
    check_values(np.float32([[-4, 5]]), (0.0, 1.0))
    check_values(np.empty((0, 2), np.float32), (0.0, 1.0))
    check_values(np.float32([[1e30]]), None)
    for value in (-4.1, 5.1):
        with pytest.raises(InputError, match="expected values of about 0 to 1"):
            check_values(np.float32([[value]]), (0.0, 1.0))
