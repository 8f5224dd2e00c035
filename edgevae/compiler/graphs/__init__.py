"""ONNX graphs: edits, constants, shapes, matched layers, and the CPU sessions that check them."""

from edgevae.compiler.graphs.constants import Array
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import Edit, only_user
from edgevae.compiler.graphs.fold_affine import Affine
from edgevae.compiler.graphs.parity import BATCHES, LIMIT, CheckSession, Expected, Floats

__all__ = [
    "BATCHES",
    "LIMIT",
    "Affine",
    "Array",
    "CheckSession",
    "Convolution",
    "Edit",
    "Expected",
    "Floats",
    "only_user",
]
