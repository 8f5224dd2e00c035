"""An accelerator runs one chunk at a time, while the host prepares the next and packs the last.

The accelerator is the CPU under another provider's name, so the same code runs as on a GPU.
"""

import threading

import numpy as np
import pytest

from edgevae import bundle
from edgevae.engine import graph, runner
from edgevae.engine.providers import Preference, Request

_PATIENCE = 30.0  # seconds; only a failure waits so long


class _Session:
    """A session whose next runs do not end before the events in `events` are set, in this order."""

    _sess = None  # onnxruntime's inner session, whose runs would not be seen here

    def __init__(self, session, events):
        self._session, self.events = session, events
        self._lock = threading.Lock()
        self.runs, self.overlaps, self.in_time = 0, 0, True

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run(self, *arguments):
        return self._alone(self._session.run, *arguments)

    def run_with_iobinding(self, *arguments):
        self._alone(self._session.run_with_iobinding, *arguments)

    def _alone(self, run, *arguments):
        if not self._lock.acquire(blocking=False):
            self.overlaps += 1
            self._lock.acquire()
        try:
            self.runs += 1
            if self.events:
                self.in_time &= self.events.pop(0).wait(_PATIENCE)
            return run(*arguments)
        finally:
            self._lock.release()


@pytest.fixture
def accelerated(tiny_paths, monkeypatch):
    """Return a runner of the grey bundle on an accelerator, its sessions, and an event to set."""
    sessions, drawn = [], threading.Event()
    open_session = graph.open_session

    def open_on_cpu(path, choice, **arguments):
        session = open_session(path, (Request("cpu", {}),), **arguments)
        sessions.append(_Session(session, [drawn]))
        return sessions[-1]

    preference = Preference(((Request("another", {}),),), "so the test wants it")
    monkeypatch.setattr(graph, "open_session", open_on_cpu)
    monkeypatch.setattr(runner.automatic, "resolve", lambda *arguments: (preference, "float32"))
    return runner.Runner(bundle.read(tiny_paths["grey"]), threads=2, chunk=50), sessions, drawn


def test_noise_is_drawn_while_the_accelerator_runs(accelerated, tinies):
    opened, sessions, drawn = accelerated
    z = np.random.default_rng(0).standard_normal((400, 4), np.float32)
    starts = []

    def latents(first, last):
        starts.append(first)
        if len(starts) == 2:
            drawn.set()
        return z[first:last]

    out = np.empty((400, 1, 8, 8), np.float32)
    opened.decode_into(latents, out)
    (session,) = sessions
    assert session.in_time, "the second chunk's noise waited for the first chunk's run"
    assert session.runs == 8
    assert session.overlaps == 0
    assert sorted(starts) == list(range(0, 400, 50))
    np.testing.assert_allclose(out, tinies["grey"].decode(z), atol=2e-6)


def test_up_to_a_chunk_of_rows_is_one_call(accelerated):
    opened, _, drawn = accelerated
    drawn.set()
    assert opened.device_type == "GPU"
    assert opened.decode(np.zeros((50, 4), np.float32)).shape == (50, 1, 8, 8)
    assert opened.plan("decoder").single_call_rows == 50


def test_a_chunk_is_packed_while_the_accelerator_runs_the_next(accelerated, tinies, monkeypatch):
    opened, sessions, drawn = accelerated
    monkeypatch.setattr(graph, "on_cuda", lambda session: True)  # so that bindings are kept
    drawn.set()
    opened.graph("decoder").open(2)
    (session,) = sessions
    z = np.random.default_rng(0).standard_normal((400, 4), np.float32)
    packed, first = threading.Event(), threading.Event()
    first.set()
    session.events[:] = [first, packed]
    session.runs = 0
    data = opened.bundle.data
    finish = type(data).finish

    def note(data, x_hat, out):
        finish(data, x_hat, out)
        packed.set()

    monkeypatch.setattr(type(data), "finish", note)
    for _ in range(2):  # the second call runs through bindings only
        out = data.allocate(400, "uint8")
        opened.decode_into(lambda first, last: z[first:last], out)
    assert session.in_time, "the second chunk's run waited for the first chunk's packing"
    assert session.runs == 16
    assert session.overlaps == 0
    expected = data.allocate(400, "uint8")
    finish(data, tinies["grey"].decode(z).astype(np.float32), expected)
    assert np.abs(out.astype(int) - expected).max() <= 1
