"""The steps and the learning rate of a stage."""

import pytest

from train.stages.schedule import Schedule, cosine


def test_the_rate_rises_then_falls_to_zero():
    factors = [cosine(step, 100, 10) for step in range(101)]
    assert factors[9] == 1
    assert factors[100] == pytest.approx(0)
    assert max(factors) == 1
    assert factors[50] > factors[80]


def test_a_stage_leaves_out_an_incomplete_batch_and_stops_where_it_is_asked_to():
    schedule = Schedule("fit", items=70, batch=8, epochs=5, seed=0, learning_rate=1.0)
    assert (schedule.epoch_steps, schedule.steps, schedule.last) == (8, 40, 40)
    stopped = Schedule("fit", 70, 8, epochs=5, seed=0, learning_rate=1.0, stop_after=2)
    assert (stopped.steps, stopped.last) == (40, 16)
    assert stopped.rate(10) == schedule.rate(10)
