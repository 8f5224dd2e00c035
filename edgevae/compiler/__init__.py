"""ONNX graphs in, a bundle out: a workstation's work, which needs the extra `compile`.

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

from edgevae.compiler.compile import Compiled, compile
from edgevae.compiler.reading.diffusers_folder import Sources
from edgevae.compiler.reading.diffusers_folder import read as read_folder
from edgevae.compiler.reading.normalise import OPSET
from edgevae.compiler.rewrites.pipeline import Row, table

__all__ = ["OPSET", "Compiled", "Row", "Sources", "compile", "read_folder", "table"]
