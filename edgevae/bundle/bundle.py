"""A bundle that was read: its description, its folder, and the content of its files.

manifest.json      the description, and the SHA-256 of every other file
encoder.onnx       x -> mu, logvar; absent if the bundle only decodes
decoder.onnx       z -> x_hat
activations.onnx   x -> h, the encoder's hidden activations, for the score `nap`; optional
decoder.TARGET.int8.onnx, ...  the same graphs for a target or in 8 bits: either part may be absent
prior.npz          weights (K,), means (K, D), logvars (K, D); absent if the prior is the
                   standard normal, or if there is none
selfcheck.npz      x, mu, logvar, z, x_hat: inputs and PyTorch's outputs for them; h with
                   activations; y, the class numbers, with a conditional decoder; x_hat.int8,
                   mu.int8, logvar.int8, the outputs of graphs in 8 bits
statistics.npz     statistics of the training items, for scores; optional
calibration.npz    scores of held-out normal items; optional
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevae import npz
from edgevae.bundle.content import read_file
from edgevae.bundle.graph_entry import FLOAT32, GraphEntry
from edgevae.bundle.manifest import PRIOR_FILE, SELFCHECK_FILE, Manifest
from edgevae.errors import BundleError
from edgevae.sampling import MixtureTable

Floats = npt.NDArray[np.float32]

MIXTURE_ARRAYS = ("weights", "means", "logvars")
_SELFCHECK_ARRAYS = {  # the input and the outputs of each graph
    "encoder": ("x", "mu", "logvar"),
    "decoder": ("z", "x_hat"),
    "activations": ("x", "h"),
}


class Mixture(Protocol):
    """K diagonal Gaussians over D latent dimensions, such as a `MixtureTable`."""

    @property
    def weights(self) -> Floats: ...
    @property
    def means(self) -> Floats: ...
    @property
    def logvars(self) -> Floats: ...


@dataclass(frozen=True, kw_only=True, repr=False)
class Bundle(Manifest):
    """A bundle whose files have the sizes and hashes that its manifest names.

    The attributes are those of `Manifest`, and `path`, the folder: the file of a graph is
    `path / graph(role).file`. `likelihood` has a sigma for
    each value of x if the manifest has one for each feature.
    """

    path: Path

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.x_shape))
        return f"<edgevae.bundle.Bundle {self.name!r}: {self.kind} of {shape}, {self.path}>"

    def mixture(self) -> MixtureTable | None:
        """Return the mixture prior; None if the prior is the standard normal, or none."""
        if not self.components:
            return None
        path = self.path / PRIOR_FILE
        arrays = npz.load_typed(self._content(PRIOR_FILE), path, MIXTURE_ARRAYS)
        shape = (self.components, self.dims)
        for key, expected in (("weights", shape[:1]), ("means", shape), ("logvars", shape)):
            npz.check_shape(path, key, arrays[key], expected)
        weights = arrays["weights"]
        if weights.min() < 0 or not math.isclose(weights.sum(), 1.0, abs_tol=1e-3):
            raise BundleError(
                f"{path}: weights must be at least 0 and sum to 1, got a least of "
                f"{weights.min():g} and a sum of {weights.sum():g}; export it again"
            )
        return MixtureTable(**arrays)

    def selfcheck(self) -> dict[str, npt.NDArray[Any]]:
        """Return inputs of the graphs and the outputs expected for them.

        A bundle with an encoder has x, mu and logvar of one count of rows; every bundle has z and
        x_hat of another. One with activations has h (N, H) too, as many as x, and one with classes
        y, as many as z. These outputs are PyTorch's. Those of an int8 graph have ".int8" after
        their names; a bundle of an earlier version has none.
        """
        path = self.path / SELFCHECK_FILE
        keys = selfcheck_arrays(self.roles, self.classes)
        content = self._content(SELFCHECK_FILE)
        arrays = npz.load_typed(content, path, keys, own_outputs(self.graphs))
        for key, array in arrays.items():
            if not array.ndim:
                raise BundleError(f"{path}: {key} must have rows; export the bundle again")
        shapes = {"x": self.x_shape, "x_hat": self.x_shape, "y": ()}
        if "h" in arrays:
            shapes["h"] = arrays["h"].shape[-1:]
        for key, array in arrays.items():
            name = key.partition(".")[0]
            rows = len(arrays["z" if name in (*_SELFCHECK_ARRAYS["decoder"], "y") else "x"])
            npz.check_shape(path, key, array, (rows, *shapes.get(name, self.latent_shape)))
        return arrays

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays in one of the bundle's .npz files; None if it has no such file.

        Raises `BundleError` for arrays that do not hold finite numbers.
        """
        return npz.load(self._content(name), self.path / name) if name in self.files else None

    def float32_arrays(self, name: str) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return `arrays` as C-contiguous float32.

        Raises `BundleError` also for a number that float32 does not hold.
        """
        arrays = self.arrays(name)
        return None if arrays is None else npz.as_float32(arrays, self.path / name)

    def further_arrays(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Return the arrays of all .npz files but the prior's and the self-check's, by file."""
        known = (PRIOR_FILE, SELFCHECK_FILE)
        names = [name for name in self.files if name.endswith(".npz") and name not in known]
        return {name: npz.load(self._content(name), self.path / name) for name in names}

    def _content(self, name: str) -> bytes:
        """Return the content of a file, checked anew. Raises `BundleError`."""
        return read_file(self.path / name, self.files[name])


def selfcheck_arrays(roles: Iterable[str], classes: Sequence[str]) -> list[str]:
    """Return the names of the arrays in the self-check of graphs of these roles."""
    keys = dict.fromkeys(key for role in roles for key in _SELFCHECK_ARRAYS[role])
    return [*keys, "y"] if classes else [*keys]


def own_outputs(entries: Iterable[GraphEntry]) -> list[str]:
    """Return the names of the self-check's arrays for graphs of other precisions than float32."""
    names = (
        f"{output}.{entry.precision}"
        for entry in entries
        for output in _SELFCHECK_ARRAYS[entry.role][1:]
        if entry.precision != FLOAT32
    )
    return list(dict.fromkeys(names))
