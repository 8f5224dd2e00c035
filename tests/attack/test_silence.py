"""Loading and generating open no socket and write no file."""

import os
import subprocess
import sys

import pytest
from command_line import environment

CODE = """
import os, sys
opened = []

def watch(event, arguments):
    if event.startswith("socket."):
        opened.append(event)
    if event == "open" and isinstance(arguments[2], int):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and arguments[0] != os.devnull:
            opened.append(arguments[0])

sys.addaudithook(watch)
import edgevae
vae = edgevae.load(sys.argv[1], threads=2)
vae.score(vae.generate(300, seed=1), method="recon")
numbers = [each for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")]
links = [os.readlink(f"/proc/self/fd/{each}") for each in numbers]
print([link for link in links if link.startswith("socket:") or os.path.isfile(link)], opened)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system lists no open files")
def test_loading_and_generating_open_no_socket_and_write_nothing(tiny_paths, tmp_path):
    """The audit sees what Python opens; the open files also those of onnxruntime's telemetry."""
    variables = environment(HOME=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tiny_paths["grey"])],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[] []\n")
    assert not os.listdir(tmp_path)
