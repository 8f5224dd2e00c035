"""Examine whether NumPy can be imported, which all of edgevae needs but its command line's parser.

NumPy from 2.4 on is built for processors with SSE4.2, which x86-64 processors have since about
2009 (x86-64-v2). On an older one its import ends the process.
"""

from edgevae.diagnostics.finding import Finding, of_import


def examine() -> Finding:
    """Return NumPy's version, or the problem with its import."""
    return of_import(
        "numpy",
        "import numpy; print(numpy.__version__)",
        "NumPy from 2.4 on needs a processor with SSE4.2 (x86-64-v2), which this one may lack",
        "install an older version (pip install 'numpy<2.4')",
        "pip install --force-reinstall numpy",
    )
