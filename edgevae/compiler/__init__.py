"""Compile ONNX graphs to a bundle, on a workstation; needs the extra `compile`.

from edgevae import compiler
compiler.compile("decoder.onnx", "encoder.onnx", out="mine", x_range=(0, 1))
found = compiler.read_folder("exported", size=[256])  # vae_decoder/model.onnx, config.json, ...
compiler.compile(found.decoder, found.encoder, out="mine", x_range=found.x_range, model=found.model)
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

from edgevae.compiler.compile import Compiled, check_out, compile
from edgevae.compiler.reading import OPSET, Sources, read_folder
from edgevae.compiler.rewrites import Row, table

__all__ = ["OPSET", "Compiled", "Row", "Sources", "check_out", "compile", "read_folder", "table"]
