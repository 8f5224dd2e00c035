"""Examine whether NumPy can be imported, which all of edgevae needs but its command line's parser.

NumPy from 2.4 on is built for processors with SSE4.2, which x86-64 processors have since about
2009 (x86-64-v2). On an older one its import ends the process.
"""

from edgevae.diagnostics.finding import OK, PROBLEM, Finding, illegal_instruction, reason
from edgevae.diagnostics.fresh_process import run_python


def examine() -> Finding:
    """Return NumPy's version, or the problem with its import, which a fresh process tries."""
    done = run_python("-c", "import numpy; print(numpy.__version__)")
    if not done.returncode:
        return Finding(OK, "numpy", done.stdout.strip())
    if illegal_instruction(done):
        return Finding(
            PROBLEM,
            "numpy",
            "its import is ended by an illegal instruction: NumPy from 2.4 on needs a processor "
            "with SSE4.2 (x86-64-v2), which this one may lack",
            "install an older version (pip install 'numpy<2.4')",
        )
    says, fix = reason(done)
    return Finding(PROBLEM, "numpy", says, fix or "pip install --force-reinstall numpy")
