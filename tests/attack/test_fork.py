"""Forks while other threads work: the child generates, scores, encodes and reads pictures."""

import os
import subprocess
import sys

import pytest
from attacks import CASES
from command_line import environment
from PIL import Image

# A child that hangs is ended by its alarm.
CODE = """
import itertools, os, signal, sys, threading
import numpy as np
import edgevae

folder, picture, forks = sys.argv[1:4]
pictures = edgevae.load(folder, threads=2)
names = edgevae.load("names", threads=1)

def decode_picture(vae, i):
    vae.reconstruct(picture)

def generate(vae, i):
    vae.generate(1 + i % 300, seed=i)

def score(vae, i):
    vae.score(vae.generate(3, seed=i), method="recon")

def encode(vae, i):
    names.encode(["Anna", "Bert"])
    names.generate(2, seed=i)

verbs = [decode_picture, generate, score, encode]
stop = threading.Event()
turns = [itertools.count() for _ in verbs]

def work(verb):
    while not stop.is_set():
        # A new VAE now and then, whose bundle is read and whose sessions are opened meanwhile.
        i = next(turns[verbs.index(verb)])
        verb(edgevae.load(folder, threads=1) if i % 20 == 19 else pictures, i)

for verb in verbs:
    verb(pictures, 1)
threads = [threading.Thread(target=work, args=(verb,)) for verb in verbs]
for thread in threads:
    thread.start()
codes = []
for i in range(int(forks)):
    child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            for verb in verbs:
                verb(pictures, i)
            verb(edgevae.load(folder, threads=1), i)
        except BaseException as error:
            os.write(2, f"{error!r}\\n".encode())
            os._exit(1)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
print(sum(map(bool, codes)), "failed:", [code for code in codes if code])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_works_whatever_the_threads_of_its_parent_were_doing(tiny_paths, tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("L", (8, 8), 77).save(picture)
    arguments = [str(tiny_paths["grey"]), str(picture), str(20 * CASES)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", CODE, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120 + 60 * CASES,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "0 failed: []\n")
