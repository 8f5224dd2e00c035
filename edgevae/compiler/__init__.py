"""Compile ONNX graphs to a bundle, on a workstation; needs the extra `compile`.

from edgevae import compiler
described = compiler.Description(name="mine", licence="MIT")
compiler.compile("d.onnx", "e.onnx", out="mine", description=described, x_range=(0, 1))
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
from edgevae.compiler.compile import Compiled, Int8, check_out, compile
from edgevae.compiler.prior import read as read_prior
from edgevae.compiler.reading import OPSET, Sources, read_folder
from edgevae.compiler.rewrites import Row, table

__all__ = [
    "OPSET",
    "Compiled",
    "Description",
    "Int8",
    "Row",
    "Sources",
    "check_out",
    "compile",
    "read_folder",
    "read_prior",
    "table",
]
