"""Plans: the sources of a chunk, and the bound of memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgevae
from edgevae import bundle
from edgevae.data import KINDS
from edgevae.engine import Setting, TunedPlan, plans
from edgevae.errors import InputError

CPU = Setting("cpu", "float32", 2)


@pytest.fixture
def grey(tiny_paths, caches):
    return bundle.read(tiny_paths["grey"])


def _stated(opened, role, **facts):
    """Return a bundle whose entries of a role state these facts."""
    graphs = (replace(each, **facts) if each.role == role else each for each in opened.graphs)
    return replace(opened, graphs=tuple(graphs))


def test_the_caller_comes_before_tune_before_the_manifest_before_a_guess(grey):
    choose = plans.choose
    assert choose(grey, "decoder", CPU)[:5] == (8, 64, 2, 1, "a guess by the size of x")
    grey = _stated(grey, "decoder", chunk_rows=24)
    assert choose(grey, "decoder", CPU)[:5] == (8, 24, 2, 1, "the manifest")
    measured = TunedPlan("any", 16, 3, 1, 2, 7, 1000.0)
    assert choose(grey, "decoder", CPU, tuned=measured) == (3, 16, 1, 2, "edgevae tune", 7, 2)
    bounded = choose(grey, "decoder", CPU, tuned=measured, max_rows=9)
    assert bounded == (3, 9, 1, 2, "edgevae tune", 7, 2)
    assert choose(grey, "decoder", CPU, tuned=measured, chunk=5)[:5] == (5, 5, 2, 1, "the caller")
    two = measured._replace(workers=2, threads=1)
    assert choose(grey, "decoder", CPU, tuned=two, max_rows=1)[:4] == (1, 1, 1, 2)


def test_the_callers_chunk_has_the_costs_of_the_tuned_graph(grey):
    (decoder,) = (each for each in grey.graphs if each.role == "decoder")
    slow = replace(decoder, call_us={1: 1000.0})
    fast = replace(decoder, target="fast", call_us={1: 1.0})
    grey = replace(grey, graphs=(*(each for each in grey.graphs if each != decoder), slow, fast))
    assert plans.choose(grey, "decoder", CPU, chunk=64).worker_rows == 1
    tuned = TunedPlan("fast", 16, 3, 1, 2, 7, 1000.0)
    assert plans.choose(grey, "decoder", CPU, tuned=tuned, chunk=64).worker_rows == 60


def test_an_accelerator_gets_larger_chunks_and_two_workers(grey):
    cuda = Setting("cuda", "float32", 2)
    assert plans.choose(grey, "decoder", cuda)[:4] == (1024, 1024, 2, 2)
    assert plans.choose(grey, "decoder", cuda, chunk=5)[:4] == (5, 5, 2, 2)


def test_a_cpu_device_of_another_provider_gets_one_worker_and_small_chunks(grey):
    openvino = Setting("openvino", "bf16", 2)
    assert plans.choose(grey, "decoder", openvino)[:4] == (64, 64, 1, 2)
    assert plans.choose(grey, "decoder", openvino, device="GPU")[:4] == (1024, 1024, 2, 2)


# --- costs ---------------------------------------------------------------------------------------


def _plan(grey, call_us, threads=2, **facts):
    made = _stated(grey, "decoder", call_us=call_us, **{"chunk_rows": 64, **facts})
    return plans.choose(made, "decoder", CPU._replace(threads=threads))


def test_few_cheap_rows_are_one_call(grey):
    plan = _plan(grey, {1: 5.0, 64: 11.3}, row_bytes=1000)  # 4.9 us + 0.1 us a row
    assert [plan.division(rows) for rows in (1, 9, 512)] == [(1, 1, 2), (9, 1, 2), (512, 1, 2)]
    assert plan.chunk >= 2048  # so that a chunk takes 0.2 ms or more
    assert plan.division(100_000) == (plan.chunk, 2, 1)
    alone = _plan(grey, {1: 5.0, 64: 11.3}, threads=1, row_bytes=1000)
    assert alone.division(100_000) == (alone.chunk, 1, 1)


def test_a_few_rows_more_than_a_chunk_are_no_second_call(grey):
    plan = _plan(grey, {1: 900.0, 16: 14400.0}, threads=1, row_bytes=1000)
    chunk = plan.chunk
    assert plan.division(chunk + chunk // 4) == (chunk + chunk // 4, 1, 1)
    assert plan.division(chunk + chunk // 4 + 1) == (chunk, 1, 1)
    callers = plans.choose(grey, "decoder", CPU._replace(threads=1), chunk=8)
    assert callers.division(9) == (8, 1, 1)


def test_a_worker_has_rows_that_are_worth_a_thread(grey):
    plan = _plan(grey, {1: 10.0, 16: 160.0}, threads=16)._replace(single_call_rows=0)
    assert plan.worker_rows == 6  # of 10 us each, for 60 us
    assert [plan.division(rows)[1] for rows in (1, 11, 12, 48, 96, 1000)] == [1, 1, 2, 8, 16, 16]


def test_costly_rows_are_one_call_until_workers_are_faster(grey):
    plan = _plan(grey, {1: 300.0, 16: 4800.0})
    assert plan.division(1) == (1, 1, 2)
    assert 2 < plan.single_call_rows < 8
    assert plan.division(8) == (64, 2, 1)


def test_a_call_is_no_larger_than_the_callers_chunk(grey):
    made = _stated(grey, "decoder", call_us={1: 5.0, 64: 11.3}, row_bytes=1000)
    plan = plans.choose(made, "decoder", CPU, chunk=5)
    assert max(plan.single_call_rows, plan.chunk) == 5


def test_costs_of_one_number_of_rows_are_proportional(grey):
    assert _plan(grey, {16: 160.0}).worker_rows == 6


def test_rows_of_large_memory_do_not_make_a_chunk_larger(grey):
    assert _plan(grey, {1: 5.0, 64: 11.3}, row_bytes=1 << 20).chunk == 64


def test_a_vector_without_costs_has_estimated_ones(tiny_paths, caches):
    plan = plans.choose(bundle.read(tiny_paths["vector"]), "decoder", CPU)
    assert plan.source.endswith("; costs by the number of weights")
    assert plan.division(9) == (9, 1, 2)


# --- memory ----------------------------------------------------------------------------------


@given(
    memory=st.integers(1, 10**9), row=st.integers(1, 10**7), threads=st.integers(1, 64),
    chunk=st.none() | st.integers(1, 500),
)  # fmt: skip
def test_rows_in_flight_fit_into_half_of_the_memory(tiny_bundle, memory, row, threads, chunk):
    made = _stated(tiny_bundle, "decoder", row_bytes=row)
    if memory < 2 * row:
        with pytest.raises(InputError, match=f"max_memory: expected at least {2 * row:,} bytes"):
            plans.max_rows(made, "decoder", memory)
        return
    most = plans.max_rows(made, "decoder", memory)
    setting = Setting("cpu", "float32", threads)
    plan = plans.choose(made, "decoder", setting, chunk=chunk, max_rows=most)
    assert max(plan.single_call_rows, plan.chunk * plan.workers) * row <= memory / 2
    assert min(plan[:4]) >= 1
    assert plan.workers * plan.threads <= threads


@pytest.fixture(scope="session")
def tiny_bundle(tiny_paths):
    return bundle.read(tiny_paths["grey"])


def test_max_memory_bounds_a_plan_and_a_batch(tiny_paths, caches):
    row = plans.row_bytes(bundle.read(tiny_paths["grey"]), "decoder")
    assert row == 4 * (128 * 64 + 4)
    vae = edgevae.load(tiny_paths["grey"], "cpu", 4, max_memory=6 * row)
    assert vae.plan("decoder")[:5] == (3, 1, 3, 1, "a guess by the size of x")
    batches = [len(x) for x in vae.stream(1000, seed=1)]
    assert max(batches) == 12  # three workers, four chunks for each
    vae = edgevae.load(tiny_paths["grey"], "cpu", 2, max_memory="128kB", chunk=1)
    assert [len(x) for x in vae.stream(9, seed=1, batch=5)] == [5, 4]
    assert edgevae.load(tiny_paths["grey"], "cpu", 2, max_memory=2 * row).plan("decoder")[:4] == (
        1, 1, 1, 2,
    )  # fmt: skip
    with pytest.raises(InputError, match="one row of the encoder fits into half of it, got 1,000"):
        edgevae.load(tiny_paths["grey"], "cpu", 2, max_memory="1kB")


@pytest.mark.parametrize(
    ("text", "size"),
    [(5, 5), ("5", 5), ("5B", 5), ("64MB", 64 * 10**6), ("64 MiB", 64 << 20), ("1.5G", 1.5e9),
     ("2k", 2000), ("2KiB", 2048), (" 1TB ", 10**12)],
)  # fmt: skip
def test_sizes(text, size):
    assert plans.parse_size(text) == size


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, None, "", "0MB", "MB", "-1", "64 apples", "1e6"])
def test_an_invalid_size_is_refused(bad):
    with pytest.raises(InputError, match="max_memory: expected a number of bytes above 0"):
        plans.parse_size(bad)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "4", True])
def test_a_bad_chunk_is_refused(tiny_paths, bad):
    with pytest.raises(InputError, match="chunk: expected a whole number at least 1"):
        edgevae.load(tiny_paths["grey"], "cpu", chunk=bad)


# --- the guess -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "x_shape", "rows"),
    [
        ("image", (1, 28, 28), 64),
        ("image", (3, 64, 64), 16),
        ("image", (3, 128, 128), 4),
        ("image", (3, 2048, 2048), 1),
        ("vector", (5,), 256),
        ("vector", (1 << 22,), 1),
    ],
)
def test_chunks_shrink_as_items_grow(kind, x_shape, rows):
    assert plans.guess(KINDS[kind](x_shape)) == rows
