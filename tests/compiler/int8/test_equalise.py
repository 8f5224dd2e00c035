import numpy as np
from chains import chain, conv

from edgevae.compiler.graphs import LIMIT, CheckSession
from edgevae.compiler.int8 import equalise
from edgevae.compiler.int8.ranges import observe


def test_channels_come_closer_and_results_stay():
    first, second = conv(2, 8, [3, 3], [1] * 4), conv(8, 2, [3, 3], [1] * 4)
    first[1][0][0] *= 50
    model = chain((2, 6, 6), first, ("Relu", [], {}), second)
    x = np.random.default_rng(0).standard_normal((9, 2, 6, 6), np.float32)
    before = {name: value.peaks for name, value in observe(model, x).items()}
    expected = CheckSession(model, "before").expected(x)
    relu = model.graph[1].outputs[0].name
    assert equalise.rewrite(model, before) == 1
    assert expected.difference(CheckSession(model, "after")) <= LIMIT
    peaks = observe(model, x)[relu].peaks
    assert peaks.max() / peaks.mean() < before[relu].max() / before[relu].mean() / 2


def test_values_that_other_operators_read_are_left():
    model = chain(
        (2, 6, 6), conv(2, 8, [1, 1], [0] * 4), ("Tanh", [], {}), conv(8, 2, [1, 1], [0] * 4)
    )
    x = np.ones((2, 2, 6, 6), np.float32)
    peaks = {name: value.peaks for name, value in observe(model, x).items()}
    assert equalise.rewrite(model, peaks) == 0
