import numpy as np
import onnx_ir as ir
import pytest
import torch
from exporters import DYNAMO, TORCHSCRIPT, export, settle
from torch import nn

from edgevae.compiler import front, parity


def run(model: ir.Model, items: np.ndarray) -> list[np.ndarray]:
    return parity.Runner(model, "test").run(items)


class View(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], *self.shape)


class Decoder(nn.Sequential):
    """Whatever exporters and opsets write in different ways."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            nn.Linear(8, 12 * 4 * 4),
            nn.Dropout(0.2),
            View(12, 4, 4),
            nn.BatchNorm2d(12),
            nn.ConvTranspose2d(12, 8, 4, 2, 1, groups=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.LeakyReLU(0.1),
            nn.Conv2d(6, 1, 3, padding=1),
            nn.Sigmoid(),
        )
        settle(self)


FORM = "Gemm Reshape ConvTranspose Relu Resize Conv LeakyRelu Conv Sigmoid".split()


@pytest.mark.parametrize("fixed", [False, True], ids=["any batch", "batch of 1"])
@pytest.mark.parametrize("opset", [*TORCHSCRIPT, *DYNAMO])
def test_every_export_of_a_decoder_has_one_form(opset, fixed):
    decoder = Decoder()
    z = torch.randn(5, 8)
    model = front.read_graph(export(decoder, z[: 1 if fixed else 2], opset=opset, fixed=fixed))
    assert [node.op_type for node in model.graph] == FORM
    assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["z", "x_hat"]
    assert model.opset_imports == {"": 18}
    for node in model.graph:
        assert node.outputs[0].shape[0].value == "n"
    (x_hat,) = run(model, z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, decoder(z).numpy(), atol=1e-5)


class Frozen(View):
    """len() is a number to the old exporter, whatever axes are said to be dynamic."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), *self.shape)


@pytest.mark.parametrize("traced", [1, 3])
def test_a_batch_that_only_claims_to_be_free_is_freed(traced):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(4, 12), Frozen(3, 2, 2), nn.Conv2d(3, 1, 1))
    z, told = torch.randn(5, 4), []
    model = front.read_graph(export(decoder, z[:traced], opset=17), tell=told.append)
    assert f"the batch was traced as {traced}" in told[0]
    (x_hat,) = run(model, z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, decoder(z).numpy(), atol=1e-6)
