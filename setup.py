"""Build edgevae._core from edgevae/_core.pyx and csrc.

A Python with the GIL builds it under the limited API, so that one wheel serves every Python from
3.11. A free-threaded one has no limited API before Python 3.15: its wheel serves its own version.

The rest of the package's configuration is in pyproject.toml.
"""

import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")

# Each float operation must be rounded separately, since contraction into fused multiply-adds would
# change the stream. There is no -march: each kernel has its own target attribute, and the kernel is
# chosen at run time.
FLAGS = (
    ["/O2", "/std:c11", "/fp:precise"]
    if sys.platform == "win32"
    else ["-O3", "-std=c11", "-g0", "-ffp-contract=off", "-fvisibility=hidden"]
)

core = Extension(
    "edgevae._core",
    sources=["edgevae/_core.pyx", *sorted(str(path) for path in Path("csrc").glob("*.c"))],
    depends=sorted(map(str, [*Path("csrc").glob("*.h"), *Path("edgevae").glob("_core_*.pxi")])),
    include_dirs=["csrc"],
    libraries=[] if sys.platform == "win32" else ["m"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED else [],
    py_limited_api=LIMITED,
    extra_compile_args=FLAGS,
)

setup(
    ext_modules=cythonize([core]),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
