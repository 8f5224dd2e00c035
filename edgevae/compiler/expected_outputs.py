"""The self-check of a bundle: inputs, the outputs of the source graphs, and the tolerance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import LIMIT, CheckSession, Floats, class_input, parity
from edgevae.compiler.reading import SourceGraph
from edgevae.errors import CheckError

Arrays = Mapping[str, npt.NDArray[Any]]


def compute(sources: Mapping[str, SourceGraph], z: Floats, x_hat: Floats, classes: int) -> Arrays:
    """Return latents z, their x_hat, and the other graphs' outputs for x = x_hat, by name."""
    arrays: dict[str, npt.NDArray[Any]] = {"z": z, "x_hat": x_hat}
    if classes:
        arrays["y"] = class_input.pseudo_random(z, classes)
    if "encoder" in sources:
        mu, logvar = sources["encoder"].reference.run(x_hat)
        arrays |= {"x": x_hat, "mu": mu, "logvar": logvar}
    if "activations" in sources:
        (h,) = sources["activations"].reference.run(x_hat)
        arrays |= {"x": x_hat, "h": h}
    return arrays


def check(graph: ir.Model, arrays: Arrays, where: str) -> None:
    """Raise `CheckError` unless a compiled graph gives the self-check's outputs to 1e-5."""
    for name, got in _run(graph, arrays, where).items():
        error = parity.relative_error(np.asarray(arrays[name]), got)
        if not error <= LIMIT:
            raise CheckError(
                f"{where}: expected {name} of the self-check to {LIMIT}, got a "
                f"difference of {error:.1e}; no bundle was written"
            )


def of_int8(graphs: Mapping[str, ir.Model], arrays: Arrays) -> Arrays:
    """Return the outputs of int8 graphs, by role, for the self-check: "x_hat.int8" and so on."""
    return {
        f"{name}.int8": output
        for role, graph in graphs.items()
        for name, output in _run(graph, arrays, f"{role} in int8").items()
    }


def _run(graph: ir.Model, arrays: Arrays, where: str) -> dict[str, Floats]:
    """Return a graph's outputs for the self-check's inputs, by name."""
    port, *class_inputs = graph.graph.inputs
    session = CheckSession(graph, where)
    y = arrays["y"] if class_inputs else None
    outputs = session.run(np.asarray(arrays[str(port.name)], np.float32), y)
    return dict(zip(session.outputs, outputs, strict=True))


def tolerance(arrays: Arrays, model: str) -> float:
    """Return the tolerance of the self-check on other machines, which sum in other orders.

    It is ten times the limit of `check`. The logvar of an "autoencoder" is left out.
    """
    keys = ("mu", "x_hat") if model == "autoencoder" else ("mu", "logvar", "x_hat")
    outputs = (arrays[key] for key in keys if key in arrays)
    largest = max(float(np.abs(output).max()) for output in outputs)
    return 10 * LIMIT * max(1.0, largest)
