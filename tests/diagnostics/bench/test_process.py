"""The fresh process of a measurement."""

import subprocess
import sys
from pathlib import Path

from edgevae.diagnostics.bench import process


def test_peak_rss_is_that_of_this_process_not_of_its_parent():
    """Linux hands ru_maxrss down to children; a child of a large process must not look large."""
    ballast = bytearray(400 << 20)
    code = "from edgevae.diagnostics.bench import peak_rss; print(peak_rss())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(ballast) > float(done.stdout) * 2**20


def test_a_process_imports_the_standard_library_alone_before_its_clock():
    script = Path(process.__file__).absolute()

    def loaded(code: str) -> set[str]:
        command = [sys.executable, "-P", "-c", f"import runpy, sys; {code}; print(*sys.modules)"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {name.partition(".")[0] for name in done.stdout.split()}

    modules = loaded(f"runpy.run_path({str(script)!r})")
    assert {"json", "time"} <= modules
    assert modules - loaded("pass") <= sys.stdlib_module_names
