"""Write the graphs of the tiny VAEs of tests/tiny.py.

python tests/graphs/make_graphs.py
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.append(str(Path(__file__).parents[1]))  # for tiny

from tiny import ALL, Tiny


def encoder(tiny: Tiny) -> bytes:
    return _model(
        inputs={"x": tiny.x_shape},
        outputs={"mu": tiny.latent_shape, "logvar": tiny.latent_shape},
        constants={
            "a": tiny.weights["mu"],
            "b": tiny.weights["logvar"],
            "shape": np.array([-1, *tiny.latent_shape], np.int64),
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


def activations(tiny: Tiny) -> bytes:
    """x -> h = tanh(x B), the one hidden layer that the encoder has."""
    return _model(
        inputs={"x": tiny.x_shape},
        outputs={"h": (int(np.prod(tiny.latent_shape)),)},
        constants={"b": tiny.weights["logvar"]},
        nodes=[
            ("Flatten", ["x"], ["flat"]),
            ("MatMul", ["flat", "b"], ["linear"]),
            ("Tanh", ["linear"], ["h"]),
        ],
    )


def decoder(tiny: Tiny) -> bytes:
    low, high = tiny.x_range or (0.0, 1.0)
    nodes = [
        ("Flatten", ["z"], ["flat"]),
        ("MatMul", ["flat", "c"], ["linear"]),
        ("Sigmoid", ["linear"], ["unit"]),
        ("Mul", ["unit", "width"], ["scaled"]),
        ("Add", ["scaled", "low"], ["bounded"]),
        ("Reshape", ["bounded", "shape"], ["x_hat"]),
    ]
    if tiny.x_range is None:
        nodes[2:] = [("Reshape", ["linear", "shape"], ["x_hat"])]
    if tiny.classes:
        nodes[1:2] = [
            ("MatMul", ["flat", "c"], ["told_nothing"]),
            ("Gather", ["table", "y"], ["shift"]),
            ("Add", ["told_nothing", "shift"], ["linear"]),
        ]
    return _model(
        inputs={"z": tiny.latent_shape, **({"y": ()} if tiny.classes else {})},
        outputs={"x_hat": tiny.x_shape},
        constants={
            **({"table": tiny.table} if tiny.classes else {}),
            "c": tiny.weights["x_hat"],
            "low": np.float32(low),
            "width": np.float32(high - low),
            "shape": np.array([-1, *tiny.x_shape], np.int64),
        },
        nodes=nodes,
    )


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


GRAPHS = {"encoder": encoder, "activations": activations, "decoder": decoder}


if __name__ == "__main__":
    for tiny in ALL:
        for role, make in GRAPHS.items():
            tiny.graph(role).write_bytes(make(tiny))
