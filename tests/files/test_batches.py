"""Batches bound their memory, are read ahead of the work, and wait in a file if they are many."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sample_files import pictures

from edgevae import files
from edgevae.errors import InputError
from edgevae.files import batches


def test_a_table_that_is_large_waits_in_a_file(vector, here, monkeypatch):
    monkeypatch.setattr(batches, "SPOOL_BYTES", 100)
    x = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    np.savetxt("x.csv", x, delimiter=",")
    inputs = files.read(["x.csv"], vector)
    assert inputs.ids == list(range(1000))
    parts = list(inputs.batches)
    assert [len(part) for part in parts] == [256, 256, 256, 232]
    np.testing.assert_array_equal(np.concatenate(parts), x)


def test_many_inputs_are_read_as_they_are_used(grey, here, monkeypatch):
    """Beyond what is read ahead, a damaged file is found when its batch is due."""
    pictures(600)
    data = Path("images/599.png").read_bytes()
    Path("images/599.png").write_bytes(data[:60])  # the header is whole
    with pytest.raises(InputError, match=r"599\.png: expected a complete image file"):
        files.read(["images"], grey)
    monkeypatch.setattr(batches, "READ_AHEAD", 1)
    inputs = files.read(["images"], grey)
    assert len(next(inputs.batches)) == len(next(inputs.batches)) == 256
    with pytest.raises(InputError, match=r"599\.png: expected a complete image file"):
        next(inputs.batches)


@pytest.mark.parametrize(("shape", "rows"), [((3,), 256), ((1 << 20,), 4), ((3, 2000, 2000), 1)])
def test_large_items_come_few_at_a_time(shape, rows):
    assert batches.batch_rows(SimpleNamespace(x_shape=shape)) == rows
