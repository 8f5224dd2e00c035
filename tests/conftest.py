"""Tiny bundles whose answers numpy knows, one linear layer each way; each kernel in turn."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevae import _core, bundle


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
        return _model(
            inputs={"x": self.x_shape},
            outputs={"mu": self.latent_shape, "logvar": self.latent_shape},
            constants={
                "a": self.weights["mu"],
                "b": self.weights["logvar"],
                "shape": np.array([-1, *self.latent_shape], np.int64),
            },
            nodes=[
                ("Flatten", ["x"], ["flat"]),
                ("MatMul", ["flat", "a"], ["mu_flat"]),
                ("MatMul", ["flat", "b"], ["logvar_linear"]),
                ("Tanh", ["logvar_linear"], ["logvar_flat"]),
                ("Reshape", ["mu_flat", "shape"], ["mu"]),
                ("Reshape", ["logvar_flat", "shape"], ["logvar"]),
            ],
        )

    def activations(self) -> bytes:
        """x -> h = tanh(x B), the one hidden layer that the encoder has."""
        return _model(
            inputs={"x": self.x_shape},
            outputs={"h": (int(np.prod(self.latent_shape)),)},
            constants={"b": self.weights["logvar"]},
            nodes=[
                ("Flatten", ["x"], ["flat"]),
                ("MatMul", ["flat", "b"], ["linear"]),
                ("Tanh", ["linear"], ["h"]),
            ],
        )

    def decoder(self) -> bytes:
        low, high = self.x_range or (0.0, 1.0)
        nodes = [
            ("Flatten", ["z"], ["flat"]),
            ("MatMul", ["flat", "c"], ["linear"]),
            ("Sigmoid", ["linear"], ["unit"]),
            ("Mul", ["unit", "width"], ["scaled"]),
            ("Add", ["scaled", "low"], ["bounded"]),
            ("Reshape", ["bounded", "shape"], ["x_hat"]),
        ]
        if self.x_range is None:
            nodes[2:] = [("Reshape", ["linear", "shape"], ["x_hat"])]
        if self.classes:
            nodes[1:2] = [
                ("MatMul", ["flat", "c"], ["told_nothing"]),
                ("Gather", ["table", "y"], ["shift"]),
                ("Add", ["told_nothing", "shift"], ["linear"]),
            ]
        return _model(
            inputs={"z": self.latent_shape, **({"y": ()} if self.classes else {})},
            outputs={"x_hat": self.x_shape},
            constants={
                **({"table": self.table} if self.classes else {}),
                "c": self.weights["x_hat"],
                "low": np.float32(low),
                "width": np.float32(high - low),
                "shape": np.array([-1, *self.x_shape], np.int64),
            },
            nodes=nodes,
        )

    def arguments(self) -> dict[str, object]:
        """What `bundle.write` takes beside the path."""
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

    def write(self, path: Path, **changes: object) -> bundle.Bundle:
        return bundle.write(path, **{**self.arguments(), **changes})


def _model(*, inputs, outputs, constants, nodes) -> bytes:
    def ports(shapes):
        return [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name == "y" else TensorProto.FLOAT, ["n", *shape]
            )
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "tiny",
        ports(inputs),
        ports(outputs),
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


TINIES = {
    "grey": Tiny("image", (1, 8, 8), (0.0, 1.0), (4,), components=5, noise=0.5),
    "colour": Tiny("image", (3, 8, 6), (-1.0, 1.0), (2, 3)),
    "vector": Tiny("vector", (5,), None, (3,), components=2),
    "classes": Tiny("image", (1, 8, 8), (0.0, 1.0), (4,), classes=("Boot", "Coat", "Hat")),
}


@pytest.fixture(autouse=True, scope="session")
def hear_interrupts() -> None:
    """A shell starts what it puts in the background deaf to interrupts, and so its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tinies() -> dict[str, Tiny]:
    return TINIES


@pytest.fixture(scope="session")
def tiny_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each tiny VAE: "grey", "colour" (in [-1, 1], z of two axes), "vector"
    and "classes" (told one of three)."""
    folder = tmp_path_factory.mktemp("bundles")
    return {name: tiny.write(folder / name).path for name, tiny in TINIES.items()}


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An array's file: eighty images of one bright square each."""
    path = tmp_path_factory.mktemp("data") / "squares.npy"
    rng = np.random.default_rng(0)
    images = np.zeros((80, 8, 8), np.uint8)
    for image, (row, column) in zip(images, rng.integers(0, 5, (80, 2)), strict=True):
        image[row : row + 3, column : column + 3] = 255
    np.save(path, images)
    return path


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[None]]:
    """`with cut_off(stage):` interrupts training when that stage's first checkpoint is written."""

    @contextmanager
    def interrupted(stage: str) -> Iterator[None]:
        from train.model import checkpoint

        save = checkpoint.save

        def save_and_die(path, content):
            save(path, content)
            if stage in content:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                yield

    return interrupted


@pytest.fixture(params=_core.kernels()["available"])
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kernel that runs on this CPU in turn; the one in use before comes back after."""
    before = _core.kernels()["active"]
    _core.use_kernel(request.param)
    yield request.param
    _core.use_kernel(before)
