"""Compile ONNX graphs to a bundle, on a workstation; needs the extra `compile`.

from edgevae import compiler
compiler.compile("d.onnx", "e.onnx", out="mine", reading=compiler.Reading(x_range=(0, 1)))
"""

try:
    import onnx as _onnx  # noqa: F401
    import onnx_ir as _onnx_ir  # noqa: F401
    import onnxscript as _onnxscript  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"edgevae.compiler needs {error.name}, which is not installed: "
        "pip install 'edgevae[compile]'",
        name=error.name,
    ) from error

from edgevae.bundle import Description
from edgevae.compiler.compile import Compiled, check_out, compile
from edgevae.compiler.options import Extras, Int8, Options, Reading
from edgevae.compiler.prior import read as read_prior
from edgevae.compiler.reading import OPSET, Sources, read_folder
from edgevae.compiler.recompile import is_bundle, recompile
from edgevae.compiler.rewrites import table
from edgevae.compiler.targets import DEFAULT as TARGETS

__all__ = [
    "OPSET",
    "TARGETS",
    "Compiled",
    "Description",
    "Extras",
    "Int8",
    "Options",
    "Reading",
    "Sources",
    "check_out",
    "compile",
    "is_bundle",
    "read_folder",
    "read_prior",
    "recompile",
    "table",
]
