"""Graphs of opsets before 11, which onnx's version converter lifts."""

import io
import warnings

import normal_form
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, version_converter
from torch import nn

from edgevae import compiler
from edgevae.compiler.graphs import CheckSession
from edgevae.compiler.reading import old_opset
from edgevae.errors import InputError


def decoder(upsample: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), upsample]
    return nn.Sequential(*layers, nn.Conv2d(8, 3, 3, padding=1), nn.Hardtanh(0, 1)).eval()


def export(module: nn.Module, opset: int) -> bytes:
    """Export with height and width dynamic, which PyTorch's TorchScript exporter can from 7 on."""
    file, axes = io.BytesIO(), {"z": {0: "n", 2: "h", 3: "w"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(2, 4, 8, 8),),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["z"],
            dynamic_axes=axes,
        )
    return file.getvalue()


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize(
    "upsample",
    [nn.Upsample(scale_factor=3), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Identity()],
    ids=["nearest", "bilinear", "none"],
)
def test_an_old_graph_of_any_size_computes_what_it_did(upsample, opset):
    module = decoder(upsample)
    graph, notes = export(module, opset), []
    z = torch.randn(3, 4, 6, 8)
    (before,) = CheckSession(graph, "before").run(z.numpy())
    factor = before.shape[-1] // 8
    size = (6 * factor, 8 * factor)
    model = normal_form.read(graph, size=size, note=notes.append)
    assert any(f"converted from opset {opset} to 11" in note for note in notes)
    (x_hat,) = CheckSession(model, "after").run(z.numpy())
    np.testing.assert_allclose(x_hat, before, atol=1e-5)


def test_an_old_graph_makes_a_bundle(tmp_path):
    graph = export(decoder(nn.Upsample(scale_factor=2)), 10)
    compiled = compiler.compile(
        graph,
        out=tmp_path / "b",
        reading=compiler.Reading(size=[16]),
        options=compiler.Options(measure=False),
    )
    assert compiled.bundle.x_shape == (3, 16, 16)
    assert compiled.bundle.latent_shape == (4, 8, 8)
    assert compiled.bundle.opset == compiler.OPSET


def chain(opset: int, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "old",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def test_a_graph_that_cannot_be_converted_is_refused(monkeypatch):
    def fail(*_):
        raise RuntimeError("no adapter")

    graph = chain(9, helper.make_node("MatMul", ["z", "w"], ["x_hat"])).SerializeToString()
    monkeypatch.setattr(version_converter, "convert_version", fail)
    match = r"expected opset 11 or later, got 9, .* cannot convert it \(no adapter\); export"
    with pytest.raises(InputError, match=match):
        normal_form.read(graph)


def test_a_conversion_that_changes_the_results_is_refused(monkeypatch):
    before = chain(9, helper.make_node("MatMul", ["z", "w"], ["x_hat"]))
    after = chain(11, helper.make_node("Sub", ["z", "z"], ["x_hat"]))
    monkeypatch.setattr(version_converter, "convert_version", lambda *_: after)
    with pytest.raises(InputError, match="got 9, and onnx's version converter changes its results"):
        normal_form.read(before.SerializeToString())


def test_later_opsets_are_left_to_the_reader():
    graph = chain(11, helper.make_node("MatMul", ["z", "w"], ["x_hat"]))
    assert old_opset.convert(graph, "decoder", print) is graph
