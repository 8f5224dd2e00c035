"""Threads inside a graph do not abort the process at its end, and do not hold it up for ever."""

import os
import subprocess
import sys

import pytest
from command_line import environment

# `start` returns when each thread has worked once.
START = """
import atexit, os, sys, threading, time
import edgevae
from edgevae.engine import gate

vae = edgevae.load(sys.argv[1], threads=2)
x = vae.generate(4, seed=1)

def start(work, threads=4):
    entered = threading.Barrier(threads + 1)
    def repeat():
        work()
        entered.wait()
        while True:
            work()
    for _ in range(threads):
        threading.Thread(target=repeat, daemon=True).start()
    entered.wait()
"""


def run(code: str, bundle) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", START + code, str(bundle)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize(
    "work",
    [
        "vae.decode(x_hat_of)",
        "vae.encode(x)",
        "vae.generate(500, seed=3)",  # on the pool of workers
        "edgevae.load(sys.argv[1]).generate(1, seed=3)",  # opens sessions
    ],
)
def test_daemon_threads_inside_a_graph_do_not_abort_the_process(work, tiny_paths):
    code = f"x_hat_of = vae.encode(x).mu\nstart(lambda: {work})\n"
    for _ in range(3):
        assert run(code, tiny_paths["grey"]) == (0, "")


def test_handlers_at_exit_may_still_call_while_daemon_threads_run(tiny_paths):
    code = """
def last_words():
    assert not gate.is_open()
    vae.generate(1000, seed=3)  # more than one chunk, without the threads of the pool
    print("done")

atexit.unregister(gate._close)  # so that it is registered after `last_words`, and runs before
atexit.register(last_words)
atexit.register(gate._close)
start(lambda: vae.generate(1000, seed=3))
"""
    assert run(code, tiny_paths["grey"]) == (0, "done\n")


def test_the_exit_abandons_a_run_that_does_not_end(tiny_paths):
    code = """
gate._PATIENCE = 0.2
start(lambda: None)
threading.Thread(target=lambda: (gate.enter(None), time.sleep(600)), daemon=True).start()
"""
    assert run(code, tiny_paths["grey"]) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_does_not_wait_for_threads_of_its_parent(tiny_paths):
    code = """
gate._PATIENCE = 600
threading.Thread(target=lambda: (gate.enter(None), time.sleep(600)), daemon=True).start()
while not gate._inside:
    time.sleep(0.01)
if os.fork():
    gate._PATIENCE = 0
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
vae.generate(1, seed=1)
sys.exit(7)
"""
    assert run(code, tiny_paths["grey"]) == (7, "")
