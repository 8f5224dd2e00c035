"""Plans: the number of rows of a graph to run at a time, and the source of that number.

The size of a chunk is, in this order, the caller's; the one that `edgevae tune` measured on this
machine; the one that was measured or modelled when the bundle was made (`chunk_rows` of the
graph's entry); or a guess by the size of x. In the last two cases a chunk is larger if it would
take too little time for a call. `max_memory` bounds the rows in flight in all cases. How many
workers share the rows follows from their costs (`costs`).
"""

import math
import re
from typing import NamedTuple

from edgevae.bundle import Bundle, GraphEntry
from edgevae.data import Kind
from edgevae.engine.costs import Costs, estimated, known
from edgevae.engine.providers import default_device
from edgevae.engine.targets import targets
from edgevae.engine.tuned import Setting, TunedPlan
from edgevae.errors import InputError, show

# Without known costs, up to this many rows per thread are one call with onnxruntime's own threads.
_SINGLE_CALL_ROWS_PER_THREAD = 4
# A worker gets rows of at least this many microseconds. Its thread is awake after `_WAKE_US` at the
# latest: after 20 on an idle machine, but later on a virtual one or one with other work, where
# onnxruntime's threads, which spin between operators, have the advantage.
_WORKER_US = 60.0
_WAKE_US = 100.0
# The share of a call that its threads do not divide (Amdahl), for convolutions of a few rows.
_SERIAL = 0.15
# A chunk that is known to take less than `_SHORT_CHUNK_US` microseconds gets as many rows as take
# `_CHUNK_US`, so that the cost of a call beside its rows does not matter, unless these rows take
# more memory than `_CHUNK_BYTES`.
_SHORT_CHUNK_US = 600.0
_CHUNK_US = 1000.0
_CHUNK_BYTES = 8 << 20
# The factor by which an accelerator's chunk is larger than the CPU's.
ACCELERATED = 16

# The candidates for the rows of a chunk, when chunks are measured. Measurements repeat within a few
# per cent, so a rate of at least `NEARLY_BEST` times the highest one counts as equally good.
CHUNK_SIZES = tuple(1 << power for power in range(10))
NEARLY_BEST = 0.97

# The widest layers of a convolutional decoder hold some 10 to 30 times as many numbers as one
# x_hat, and should stay in a core's cache from one to the next; the linear layers of a small one
# want many rows for each pass over their weights. At the bounds below, decoders of 28x28, 3x64x64
# and 3x128x128 pixels get 64, 16 and 4 rows, each within 15 % of the best of all sizes measured.
_IMAGE_ROWS = 64
_IMAGE_NUMBERS = 3 << 16
# Vectors come from linear layers only.
_VECTOR_ROWS = 256
_VECTOR_NUMBERS = 1 << 20

# Memory of a row in flight, in sizes of x, if the manifest does not state it. onnxruntime's arena
# took 14 to 130 sizes for convolutional decoders, 6 for a linear one.
_IMAGE_SIZES = 128
_VECTOR_SIZES = 16

_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kKMGT]?)(i?)B?")


class Plan(NamedTuple):
    """The division of the rows of one graph, by their number and their cost.

    Up to `single_call_rows` rows are one call whose operators use `call_threads` threads, all that
    there are. More rows are divided into chunks of at most `chunk` rows, which up to `workers`
    workers run, each with `threads` threads for its operators. A worker beside the caller has at
    least `worker_rows` rows, since fewer cost less than waking its thread. `source` says where the
    chunk and the costs come from.

    A number of rows is always divided in the same way, so that its result has the same bits in
    each call.
    """

    single_call_rows: int
    chunk: int
    workers: int
    threads: int
    source: str
    worker_rows: int = 1
    call_threads: int = 1

    def division(self, rows: int) -> tuple[int, int, int]:
        """Return the largest chunk, the workers and the threads of each for so many rows."""
        if rows <= self.single_call_rows:
            return rows, 1, self.call_threads
        workers = rows // self.worker_rows
        if workers < 2:
            return self.chunk, 1, self.threads
        return self.chunk, min(workers, self.workers), self.threads


def choose(
    bundle: Bundle,
    role: str,
    setting: Setting,
    *,
    tuned: TunedPlan | None = None,
    chunk: int | None = None,
    max_rows: int | None = None,
    device: str | None = None,
) -> Plan:
    """Return the plan of a bundle's graph, such as "encoder" or "decoder".

    `tuned` is what `edgevae tune` measured in the setting; `chunk` is the caller's, in rows;
    `max_rows` bounds the rows in flight. `device` is the kind of device that the provider runs on:
    "CPU", "GPU" or "NPU"; None takes the provider's default.
    """
    if tuned is None or chunk is not None:
        kind = default_device(setting.provider) if device is None else device
        preferred = (tuned.target,) if tuned else ()
        entry = bundle.graph(role, setting.precision, (*preferred, *targets(setting.provider)))
        plan = _untuned(bundle, entry, setting, chunk, kind)
    else:
        plan = Plan(
            tuned.single_call_rows,
            tuned.chunk,
            tuned.workers,
            tuned.threads,
            "edgevae tune",
            tuned.worker_rows,
            setting.threads,
        )
    return plan if max_rows is None else _bounded(plan, setting, max_rows)


def _untuned(
    bundle: Bundle, entry: GraphEntry, setting: Setting, chunk: int | None, device: str
) -> Plan:
    """Return the plan for the caller's chunk, or for the manifest's or a guess if it is None."""
    on_cpu = setting.provider == "cpu"
    # Other providers have their own parallelism. While an accelerator runs the chunk of one worker,
    # the other packs its last one and draws the noise of its next one, and a chunk is larger.
    # OpenVINO's CPU device loses by both: a second caller takes a core from the threads of the
    # first, and large chunks leave the cache.
    if device == "CPU":
        workers, larger = setting.threads if on_cpu else 1, 1
    else:
        workers, larger = 2, ACCELERATED
    costs, estimate = (costs_of(bundle, entry)) if on_cpu else (None, "")
    if chunk is not None:
        source, most = "the caller", chunk
    else:
        if entry.chunk_rows is not None:
            chunk, source = larger * entry.chunk_rows, "the manifest"
        else:
            chunk, source = larger * guess(bundle.data), "a guess by the size of x"
        most = max(chunk, _CHUNK_BYTES // row_bytes(bundle, entry.role))
        if costs is not None and not estimate and costs.call(chunk) < _SHORT_CHUNK_US:
            chunk = max(chunk, costs.rows_within(_CHUNK_US, most))
    # Another provider than the CPU runs a whole chunk best in one call.
    single_call_rows = _single_call_rows(costs, setting.threads, chunk, most) if on_cpu else chunk
    threads = 1 if on_cpu else setting.threads
    worker_rows = 1 if costs is None else costs.rows_within(_WORKER_US, chunk)
    return Plan(
        single_call_rows, chunk, workers, threads, source + estimate, worker_rows, setting.threads
    )


def _bounded(plan: Plan, setting: Setting, max_rows: int) -> Plan:
    """Return the plan with at most `max_rows` rows in flight."""
    workers = min(plan.workers, max_rows)
    on_cpu = setting.provider == "cpu"
    return plan._replace(
        single_call_rows=min(plan.single_call_rows, max_rows),
        chunk=min(plan.chunk, max_rows // workers),
        workers=workers,
        threads=max(1, setting.threads // workers) if on_cpu else plan.threads,
    )


def costs_of(bundle: Bundle, entry: GraphEntry) -> tuple[Costs | None, str]:
    """Return a graph's costs, if they are known or can be estimated, and a note of an estimate."""
    if (costs := known(entry)) is not None:
        return costs, ""
    costs = estimated(bundle, entry)
    return costs, "" if costs is None else "; costs by the number of weights"


def _single_call_rows(costs: Costs | None, threads: int, chunk: int, most: int) -> int:
    """Return the rows, up to `most`, below which one call on all threads beats workers.

    onnxruntime divides large matrix products among its threads at once, and leaves small operators
    on one thread, so that a call of few rows is best left to it. The estimate of the gain is that
    of Amdahl's law.
    """
    if costs is None:
        return min(chunk, _SINGLE_CALL_ROWS_PER_THREAD * threads)
    share = _SERIAL + (1 - _SERIAL) / threads

    def workers_win(rows: int) -> bool:
        return costs.call(-(-rows // threads)) + _WAKE_US < costs.call(rows) * share

    if threads == 1:
        return min(chunk + chunk // 4, most)  # a few rows more cost less than a second call
    if not workers_win(most):
        return most
    # Bisection: the workers lose at `low` and win at `high`.
    low, high = 1, most
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if workers_win(middle) else (middle, high)
    return low


def max_rows(bundle: Bundle, role: str, max_memory: int) -> int:
    """Return how many rows may be in flight within half of `max_memory` bytes.

    The other half is for a batch of `VAE.stream`. Raises `InputError` if not one row fits.
    """
    need = 2 * row_bytes(bundle, role)
    if max_memory < need:
        raise InputError(
            f"max_memory: expected at least {need:,} bytes, so that one row of the {role} fits "
            f"into half of it, got {max_memory:,}"
        )
    return max_memory // need


def guess(data: Kind) -> int:
    """Return how many rows one worker should run at a time, by the kind and size of x alone."""
    rows, numbers = (
        (_IMAGE_ROWS, _IMAGE_NUMBERS) if data.drawable else (_VECTOR_ROWS, _VECTOR_NUMBERS)
    )
    return max(1, min(rows, numbers // math.prod(data.x_shape)))


def row_bytes(bundle: Bundle, role: str) -> int:
    """Return the memory of one more row in flight.

    That is the largest `row_bytes` among the role's entries in the manifest, or an estimate.
    """
    stated = [entry.row_bytes for entry in bundle.graphs if entry.role == role and entry.row_bytes]
    sizes = _IMAGE_SIZES if bundle.data.drawable else _VECTOR_SIZES
    return max(stated, default=4 * (sizes * math.prod(bundle.x_shape) + bundle.dims))


def parse_size(value: int | str) -> int:
    """Return the bytes of a size as `max_memory` takes it: 64000000, "64MB", "61 MiB", "1.5G".

    k, M, G and T are powers of 1000, and of 1024 with an i. Raises `InputError`.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not float(match[1]):
        raise InputError(
            f"max_memory: expected a number of bytes above 0, or a size such as '64MB' or "
            f"'1.5GiB', got {show(value)}"
        )
    power = "kMGT".find(match[2].replace("K", "k")) + 1 if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)
