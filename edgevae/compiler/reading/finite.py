"""Make the constants of a graph finite, as a bundle's must be."""

import numpy as np
import onnx_ir as ir

from edgevae.errors import InputError


def make_finite(model: ir.Model, where: str) -> None:
    """Replace infinite numbers in constants by the largest of their type.

    Attention masks and bounds of Clip contain them. Raises `InputError` for NaN.
    """
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            array = None if value.const_value is None else value.const_value.numpy()
            if array is None or array.dtype not in (np.float32, np.float64, np.float16):
                continue
            if np.isnan(array).any():
                raise InputError(
                    f"{where}: expected constants that are numbers, got NaN in {value.name}; "
                    f"export a model whose training has not diverged"
                )
            if not np.isfinite(array).all():
                largest = np.finfo(array.dtype).max
                value.const_value = ir.tensor(np.clip(array, -largest, largest), name=value.name)
