"""Decoders of a few operators in a row, read as the compiler reads any."""

import normal_form
import numpy as np
import onnx_ir as ir
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

from edgevae.compiler.graphs import LIMIT, CheckSession
from edgevae.compiler.rewrites import pipeline


def chain(z_shape, *layers) -> ir.Model:
    """Each layer is an operator's name, its constants and its attributes; it reads the last."""
    nodes, constants, last = [], [], "z"
    for number, (kind, arrays, attributes) in enumerate(layers):
        names = [f"{number}.{i}" for i in range(len(arrays))]
        constants += [
            numpy_helper.from_array(np.asarray(array), name)
            for array, name in zip(arrays, names, strict=True)
        ]
        nodes.append(helper.make_node(kind, [last, *names], [last := f"y{number}"], **attributes))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", *z_shape])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model = shape_inference.infer_shapes(model)
    checker.check_model(model)
    return normal_form.read(model.SerializeToString())


def weights(*shape, seed=0):
    """Normal numbers that keep activations near 1, for a layer of about as many inputs."""
    scale = np.sqrt(np.prod(shape) / max(shape[:2]))
    return (np.random.default_rng(seed).standard_normal(shape) / scale).astype(np.float32)


def rewritten(model, rewrite) -> tuple[int, list[str]]:
    """Return the places and operators of the graph after a pass, whose results must be the same."""
    after = model.clone()
    places = rewrite(after)
    after = pipeline.lowered(after)
    shape = [size for size in model.graph.inputs[0].shape if isinstance(size, int)]
    items = np.random.default_rng(1).standard_normal((7, *shape), np.float32)
    answers = CheckSession(model, "before", exactly=True).expected(items)
    assert answers.difference(CheckSession(after, "after")) <= LIMIT
    return places, [node.op_type for node in after.graph]


def resize(scales, **attributes):
    arrays = [np.zeros(0, np.float32), np.array([1, 1, *scales], np.float32)]
    return "Resize", arrays, {"mode": "nearest", **attributes}


def conv(inputs, outputs, kernel, padding, **attributes):
    attributes = {"kernel_shape": kernel, "pads": padding, **attributes}
    group = attributes.get("group", 1)
    bias = weights(outputs, 1)[:, 0]
    return "Conv", [weights(outputs, inputs // group, *kernel), bias], attributes
