import normal_form
import numpy as np
import onnx_ir as ir
import pytest
import torch
from exporters import DYNAMO, TORCHSCRIPT, export, settle
from torch import nn

from edgevae.compiler.graphs import CheckSession


def run(model: ir.Model, items: np.ndarray) -> list[np.ndarray]:
    return CheckSession(model, "test").run(items)


class View(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], *self.shape)


class Decoder(nn.Sequential):
    """Layers that exporters and opsets write in different ways."""

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
    model = normal_form.read(export(decoder, z[: 1 if fixed else 2], opset=opset, fixed=fixed))
    assert [node.op_type for node in model.graph] == FORM
    assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["z", "x_hat"]
    assert model.opset_imports == {"": 18}
    for node in model.graph:
        assert node.outputs[0].shape[0].value == "n"
    (x_hat,) = run(model, z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, decoder(z).numpy(), atol=1e-5)


class Frozen(View):
    """A module whose len(), for the TorchScript exporter, is a number even on a dynamic axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), *self.shape)


@pytest.mark.parametrize("traced", [1, 3])
def test_a_batch_that_only_claims_to_be_free_is_freed(traced):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(4, 12), Frozen(3, 2, 2), nn.Conv2d(3, 1, 1))
    z, notes = torch.randn(5, 4), []
    model = normal_form.read(export(decoder, z[:traced], opset=17), note=notes.append)
    assert f"the batch was traced as {traced}" in notes[0]
    (x_hat,) = run(model, z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, decoder(z).numpy(), atol=1e-6)


class Spread(nn.Module):
    """A spatial broadcast decoder with coordinates (Watters et al. 2019) or with learned planes."""

    def __init__(self):
        super().__init__()
        self.learned = nn.Parameter(torch.randn(1, 4, 6, 6))
        self.convolution = nn.Conv2d(10, 3, 3, padding=1)

    def forward(self, z):
        line = torch.linspace(-1, 1, 6)
        where = torch.stack(torch.meshgrid(line, line, indexing="ij"))[None]
        where = where.expand(z.shape[0], -1, -1, -1)
        z = z[:, :, None, None].expand(-1, -1, 6, 6)
        learned = self.learned.repeat(z.shape[0], 1, 1, 1)
        return self.convolution(torch.cat([z + learned, where, where**2, z[:, :2]], 1))


@pytest.mark.parametrize("rows", [None, 1, 3], ids=lambda rows: f"batch of {rows or 'any'}")
@pytest.mark.parametrize("opset", [13, 18])
def test_constants_for_each_row_of_a_batch_fit_any_batch(opset, rows):
    torch.manual_seed(0)
    decoder, z = Spread().eval(), torch.randn(5, 4)
    source = export(decoder, z[: rows or 2], opset=opset, fixed=rows is not None)
    (x_hat,) = run(normal_form.read(source), z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(x_hat, decoder(z).numpy(), atol=1e-5)
