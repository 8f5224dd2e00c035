import numpy as np
from chains import chain, weights

from edgevae.compiler import measure_chunk
from edgevae.compiler.graphs import memory
from edgevae.engine import plans


def test_a_measured_chunk_is_one_of_the_sizes():
    model = chain((5,), ("MatMul", [weights(5, 1 << 16)], {}))
    chunk, call_us = measure_chunk.measure(model, np.ones((3, 5), np.float32), seconds=0)
    assert chunk in plans.CHUNK_SIZES
    assert chunk <= 4 * memory.modelled_chunk(model)
    assert [*call_us] == [1, 16, 64]
    assert 0 < call_us[1] < call_us[64]
