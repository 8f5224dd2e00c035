import normal_form
import numpy as np
import onnx.parser
import pytest
import torch
from exporters import export
from torch import nn

from edgevae import compiler
from edgevae.compiler.graphs import CheckSession
from edgevae.compiler.reading import normalise


def decoder(**settings) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(4, 16, 3, padding=1),
        nn.GroupNorm(4, 16, **settings),
        nn.SiLU(),
        nn.Conv2d(16, 3, 3, padding=1),
        nn.Sigmoid(),
    ).eval()
    for parameter in layers[1].parameters():
        nn.init.normal_(parameter)
    return layers


def check(model, module: nn.Module) -> None:
    z = torch.randn(3, 4, 8, 8)
    (x_hat,) = CheckSession(model, "test").run(z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, module(z).numpy(), atol=1e-5)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
@pytest.mark.parametrize("opset", [18, 20, 21, 22, 23])
def test_group_norm_of_either_exporter_at_any_opset_is_read(opset, dynamo):
    module = decoder()
    graph = export(module, torch.randn(2, 4, 8, 8), opset=opset, dynamo=dynamo)
    model = normal_form.read(graph)
    assert model.opset_imports[""] == normalise.OPSET
    assert "GroupNormalization" not in {node.op_type for node in model.graph}
    check(model, module)


@pytest.mark.parametrize("settings", [{"affine": False}, {"eps": 0.1}])
def test_group_norm_of_other_settings_is_read(settings, tmp_path):
    module = decoder(**settings)
    graph = export(module, torch.randn(2, 4, 8, 8), opset=21, dynamo=True)
    check(normal_form.read(graph), module)
    compiled = compiler.compile(graph, out=tmp_path / "b", options=compiler.Options(measure=False))
    assert compiled.bundle.opset == 18


def test_group_norm_of_a_computed_scale_is_left_and_makes_a_valid_bundle(tmp_path):
    graph = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[n,4,8,8] z) => (float[n,4,8,8] x_hat) '
        "<float[4] one = {1, 1, 1, 1}, float zero = {0}> { "
        "sum = ReduceSum<keepdims=0>(z)  nothing = Mul(sum, zero)  scale = Add(one, nothing) "
        "x_hat = GroupNormalization<num_groups=2>(z, scale, scale) }"
    )
    compiled = compiler.compile(
        graph.SerializeToString(),
        out=tmp_path / "b",
        description=compiler.Description(data="vector"),
        options=compiler.Options(measure=False),
    )
    assert compiled.bundle.opset == 21
    assert any("left in opset 21" in note for note in compiled.notes)
