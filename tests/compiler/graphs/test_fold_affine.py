"""Scales and shifts of channels are folded into each kind of layer."""

import normal_form
import numpy as np
import pytest
import torch
from exporters import export, settle
from torch import nn

from edgevae.compiler.graphs import CheckSession

torch.manual_seed(0)

LAYERS = {
    "Conv": (nn.Conv2d(6, 4, 3, padding=1), 6),
    "Conv in groups": (nn.Conv2d(6, 4, 3, groups=2, bias=False), 6),
    "ConvTranspose": (nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False), 6),
    "ConvTranspose in groups": (nn.ConvTranspose2d(6, 4, 3, 2, groups=2), 6),
}


def folded(module: nn.Module, z: torch.Tensor, opset: int = 17) -> list[str]:
    """Return the remaining operators of a graph whose results equal those of PyTorch."""
    model = normal_form.read(export(module, z[:2], opset=opset))
    (got,) = CheckSession(model, "folded").run(z.numpy())
    with torch.inference_mode():
        np.testing.assert_allclose(got, module(z).numpy(), atol=1e-5)
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("name", LAYERS)
def test_batch_norm_goes_into_a_convolution(name):
    layer, channels = LAYERS[name]
    module = settle(nn.Sequential(layer, nn.BatchNorm2d(4), nn.ReLU()))
    assert folded(module, torch.randn(5, channels, 5, 5)) == [name.split()[0], "Relu"]


@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_goes_into_a_linear_layer(bias):
    module = settle(nn.Sequential(nn.Linear(6, 4, bias=bias), nn.BatchNorm1d(4), nn.Sigmoid()))
    assert folded(module, torch.randn(5, 6)) == ["Gemm", "Sigmoid"]


def test_batch_norm_after_unfolding_goes_into_the_linear_layer():
    module = nn.Sequential(nn.Linear(6, 16), nn.Unflatten(1, (4, 2, 2)), nn.BatchNorm2d(4))
    assert folded(settle(module), torch.randn(5, 6)) == ["Gemm", "Reshape"]


def test_batch_norm_before_a_convolution_is_left():
    """Its shift would be wrong at the padded border."""
    module = settle(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)))
    assert folded(module, torch.randn(5, 4, 5, 5)) == ["BatchNormalization", "Conv"]


class Shared(nn.Module):
    """One convolution used twice, with a BatchNorm after one use alone."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(torch.relu(self.conv(x))))


def test_weights_that_are_shared_are_changed_for_one_use_alone():
    assert folded(settle(Shared()), torch.randn(5, 4, 5, 5)) == ["Conv", "Relu", "Conv"]


class Read(nn.Module):
    """A convolution whose result is read before its BatchNorm too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return y + self.norm(y)


def test_a_value_with_another_reader_is_left():
    assert folded(settle(Read()), torch.randn(5, 4, 5, 5)) == ["Conv", "BatchNormalization", "Add"]


class Unit(nn.Module):
    """[-1, 1] to [0, 1], channel by channel to ImageNet's, and back from them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))

    def forward(self, x):
        return (2 * (self.conv(x) - self.mean) / 0.229 + 1).tanh()


def test_scales_and_shifts_by_constants_go_into_the_layer_too():
    assert folded(Unit(), torch.randn(5, 4, 5, 5)) == ["Conv", "Tanh"]
