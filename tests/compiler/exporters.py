"""Exporters of PyTorch modules to bytes of ONNX."""

import io
import logging
import warnings

import torch
from torch import nn

DYNAMO = (18, 20, 23)
TORCHSCRIPT = (11, 13, 17)


def export(
    module: nn.Module,
    example: torch.Tensor,
    *,
    opset: int,
    fixed: bool = False,
    dynamo: bool | None = None,
) -> bytes:
    """Export by dynamo or, for False, by TorchScript; by default the exporter of the opset's time.

    `fixed` traces the batch as the example's.
    """
    module = module.eval()
    if opset in DYNAMO if dynamo is None else dynamo:
        return _dynamo(module, example, opset, fixed)
    file = io.BytesIO()
    axes = None if fixed else {"input": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is the old one
        torch.onnx.export(
            module,
            (example,),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["input"],
            dynamic_axes=axes,
        )
    return file.getvalue()


def _dynamo(module: nn.Module, example: torch.Tensor, opset: int, fixed: bool) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        opset_version=opset,
        dynamic_shapes=None if fixed else ({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    return program.model_proto.SerializeToString()


def settle(module: nn.Module, seed: int = 0) -> nn.Module:
    """Set random statistics and gains in every BatchNorm, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value in (layer.running_mean, layer.bias.data):
                value.normal_(generator=generator)
            for value in (layer.running_var, layer.weight.data):
                value.uniform_(0.5, 2, generator=generator)
    return module.eval()
