"""Tiny VAEs of one linear layer each way, whose results numpy can compute.

Their ONNX files are data, in tests/graphs beside the script that writes them, so that tests of the
runtime need no onnx.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgevae import bundle
from edgevae.bundle import GraphEntry
from edgevae.data import kind_from_json
from edgevae.json_fields import Fields

GRAPHS = Path(__file__).parent / "graphs"


@dataclass(frozen=True)
class Prior:
    weights: np.ndarray
    means: np.ndarray
    logvars: np.ndarray


@dataclass(frozen=True)
class Tiny:
    """A VAE of numpy: mu = x A, logvar = tanh(x B), x_hat = sigmoid(z C) or z C.

    With classes, row y of a table is added to z C.
    """

    kind: str
    x_shape: tuple[int, ...]
    x_range: tuple[float, float] | None
    latent_shape: tuple[int, ...]
    components: int = 0
    noise: float = 0.0
    classes: tuple[str, ...] = ()

    @property
    def table(self) -> np.ndarray:
        rng = np.random.default_rng(8)
        return rng.standard_normal((len(self.classes), int(np.prod(self.x_shape)))).astype("f4")

    @property
    def weights(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(5)
        x, z = int(np.prod(self.x_shape)), int(np.prod(self.latent_shape))
        sizes = {"mu": (x, z), "logvar": (x, z), "x_hat": (z, x)}
        return {
            key: (rng.standard_normal(size) / np.sqrt(size[0])).astype(np.float32)
            for key, size in sizes.items()
        }

    @property
    def prior(self) -> Prior | None:
        if not self.components:
            return None
        rng = np.random.default_rng(6)
        shape = self.components, int(np.prod(self.latent_shape))
        weights = rng.random(self.components).astype(np.float32)
        means, logvars = rng.standard_normal((2, *shape)).astype(np.float32)
        return Prior(weights / weights.sum(), 3 * means, logvars - 2)

    def encode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(len(x), int(np.prod(self.x_shape))).astype(np.float64)
        mu, logvar = flat @ self.weights["mu"], np.tanh(flat @ self.weights["logvar"])
        return mu.reshape(-1, *self.latent_shape), logvar.reshape(-1, *self.latent_shape)

    def decode(self, z: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        x_hat = (
            z.reshape(len(z), int(np.prod(self.latent_shape))).astype(np.float64)
            @ self.weights["x_hat"]
        )
        if y is not None:
            x_hat += self.table[y]
        if self.x_range is not None:
            low, high = self.x_range
            x_hat = low + (high - low) / (1 + np.exp(-x_hat))
        return x_hat.reshape(-1, *self.x_shape)

    def encoder(self) -> bytes:
        """The graph x -> mu, logvar."""
        return self.graph("encoder").read_bytes()

    def activations(self) -> bytes:
        """The graph x -> h = tanh(x B), the one hidden layer that the encoder has."""
        return self.graph("activations").read_bytes()

    def decoder(self) -> bytes:
        """The graph z -> x_hat, or z, y -> x_hat with classes."""
        return self.graph("decoder").read_bytes()

    def graph(self, role: str) -> Path:
        """The file of a role's graph, named by what the graph depends on."""
        sizes = ["x".join(map(str, shape)) for shape in (self.x_shape, self.latent_shape)]
        parts = [type(self).__name__.lower(), role, *sizes]
        if role == "decoder":
            parts += ["unbounded"] if self.x_range is None else [f"{end:g}" for end in self.x_range]
            parts += [f"{len(self.classes)}classes"] if self.classes else []
        return GRAPHS / f"{'_'.join(parts)}.onnx"

    def arguments(self) -> dict[str, object]:
        """Return the arguments of `write`: the description, the graphs and the self-check."""
        rng = np.random.default_rng(7)
        x = rng.random((3, *self.x_shape)).astype(np.float32)
        z = rng.standard_normal((3, *self.latent_shape)).astype(np.float32)
        mu, logvar = self.encode(x)
        y = np.arange(3) % len(self.classes) if self.classes else None
        check = {"x": x, "mu": mu, "logvar": logvar, "z": z, "x_hat": self.decode(z, y)}
        check["h"] = np.tanh(x.reshape(3, -1) @ self.weights["logvar"])
        return {
            "name": f"tiny-{self.kind}",
            "kind": self.kind,
            "x_shape": self.x_shape,
            "x_range": self.x_range,
            "latent_shape": self.latent_shape,
            "opset": 17,
            "encoder": self.encoder(),
            "decoder": self.decoder(),
            "prior": self.prior,
            "selfcheck": check if y is None else {**check, "y": y},
            "classes": self.classes,
            "likelihood": {"name": "gaussian", "sigma": 0.1},
            "noise": self.noise,
            "licence": "MIT",
            "provenance": {"made by": "tests/conftest.py", "seed": 5},
        }

    def write(
        self,
        path: Path,
        *,
        further: Sequence[tuple[GraphEntry, bytes]] = (),
        costs: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
        **changes: object,
    ) -> bundle.Bundle:
        """Write the model, with other arguments, further graphs, and fields of entries by role."""
        arguments = {**self.arguments(), **changes}
        shape, x_range = arguments.pop("x_shape"), arguments.pop("x_range")
        described = {
            "kind": arguments.pop("kind"),
            "x": {"shape": list(shape), "range": x_range and list(x_range)},
        }
        if "features" in arguments:
            described["features"] = arguments.pop("features").as_json()
        if "stride" in arguments:
            described["stride"] = arguments.pop("stride")
        if "text" in arguments:
            described["text"] = arguments.pop("text").as_json()["text"]
        data = kind_from_json(Fields(described, f"manifest of {path}"))
        graphs = {role: arguments.pop(role, None) for role in ("encoder", "decoder", "activations")}
        entries = [
            (GraphEntry(role, "any", "float32", **costs.get(role, {})), graph)
            for role, graph in graphs.items()
            if graph is not None
        ]
        return bundle.write(
            path,
            graphs=[*entries, *further],
            selfcheck=arguments.pop("selfcheck"),
            prior=arguments.pop("prior"),
            manifest=bundle.Manifest(data=data, **arguments),
        )


@dataclass(frozen=True)
class Linear(Tiny):
    """x = z C + sigma e, whose p(x) is N(0, C'C + sigma^2 I). mu is the posterior's, logvar 0."""

    sigma: float = 0.7

    @property
    def weights(self) -> dict[str, np.ndarray]:
        c = np.random.default_rng(8).standard_normal((2, 5)).astype(np.float32)
        wide = c.astype(np.float64)
        mu = wide.T @ np.linalg.inv(wide @ wide.T + self.sigma**2 * np.eye(2))
        return {"x_hat": c, "mu": mu.astype(np.float32), "logvar": np.zeros((5, 2), np.float32)}


def no_graph(producer: str = "no graph") -> bytes:
    """Return an ONNX file that can be parsed and holds no graph, only the name of its producer."""
    return b"\x12" + bytes([len(producer)]) + producer.encode()


def int8(role: str, graph: bytes, **cost: object) -> tuple[GraphEntry, bytes]:
    """Return a further graph for `Tiny.write`, which stands for one in 8 bits."""
    return GraphEntry(role, "any", "int8", **cost), graph


TINIES = {
    "grey": Tiny("image", (1, 8, 8), (0.0, 1.0), (4,), components=5, noise=0.5),
    "colour": Tiny("image", (3, 8, 6), (-1.0, 1.0), (2, 3)),
    "vector": Tiny("vector", (5,), None, (3,), components=2),
    "classes": Tiny("image", (1, 8, 8), (0.0, 1.0), (4,), classes=("Boot", "Coat", "Hat")),
}

# Every model whose graphs are kept: those above, and those that one test each needs.
ALL = (
    *TINIES.values(),
    replace(TINIES["grey"], latent_shape=(2,)),  # a latent that can be drawn
    replace(TINIES["grey"], x_range=(0.0, 0.95)),  # one in int8 that is off
    replace(TINIES["grey"], x_range=(1.0, 0.0)),  # one that gives negatives
    Tiny("vector", (3,), None, (2,)),
    Tiny("signal", (2, 4), None, (3,)),
    Tiny("signal", (2, 6), None, (3,)),
    Tiny("signal", (5,), None, (3,)),
    Tiny("text", (4, 4), (0.0, 1.0), (2,)),
    Linear("vector", (5,), None, (2,)),
)
