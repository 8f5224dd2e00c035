"""Classifiers whose features measure how similar generated images are to real ones.

There are two, of different architecture and seed, so that a figure does not depend on one network.
They are trained on the labelled training images alone, and no VAE is trained with them.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from train.data.dataset import Data, as_float
from train.model import state_file
from train.stages.loop import batch_rows, fastest_precision, seed_step
from train.stages.schedule import cosine

FEATURES = 128
EPOCHS = 8
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3 x 3 convolution with batch normalisation and relu."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def pooled(channels: int) -> nn.Module:
    """Return convolutions and pooling in the manner of VGG (Simonyan and Zisserman 2015)."""
    return nn.Sequential(
        convolution(channels, 32),
        nn.MaxPool2d(2),
        convolution(32, 64),
        nn.MaxPool2d(2),
        convolution(64, 80),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(80 * 9, FEATURES),
        nn.ReLU(),
    )


class Block(nn.Module):
    """A residual block: a depthwise 5 x 5 convolution, then an MLP over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.wide = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.gelu(self.wide(self.norm(self.depthwise(x)))))


def patched(channels: int) -> nn.Module:
    """Return patches and depthwise blocks in the manner of ConvNeXt (Liu et al. 2022)."""
    return nn.Sequential(
        nn.Conv2d(channels, 80, 4, stride=4, padding=2),
        *(Block(80) for _ in range(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(80, FEATURES),
        nn.GELU(),
    )


class Judge:
    """A classifier with `features` of images; `accuracy` is that on the test images."""

    def __init__(self, name: str, body: nn.Module, classes: int) -> None:
        self.name, self.body = name, body
        self.model = nn.Sequential(body, nn.Linear(FEATURES, classes)).to(DEVICE)
        self.accuracy = 0.0

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @torch.inference_mode()
    def features(self, items: Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the last layer's input (N, 128) for images (N, C, H, W), uint8 or in [0, 1]."""
        items = torch.as_tensor(items)
        parts = [self.body(as_float(chunk.to(DEVICE))) for chunk in items.split(1000)]
        return torch.cat(parts).cpu().numpy()


JUDGES = {"pooled": (pooled, 101), "patched": (patched, 202)}


def judges(data: Data, folder: Path) -> list[Judge]:
    """Return the two judges, read from `folder`, or trained and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    return [judge(name, data, folder / f"{data.name}-{name}.pt", EPOCHS) for name in JUDGES]


def judge(name: str, data: Data, path: Path, epochs: int) -> Judge:
    """Return a judge, read from `path`, or trained and kept there, and measure its accuracy."""
    build, seed = JUDGES[name]
    torch.manual_seed(seed)
    classifier = Judge(name, build(data.x_shape[0]), int(data.train_labels.max()) + 1)
    if path.is_file():
        classifier.model.load_state_dict(state_file.read(path))
    else:
        train(classifier, data, epochs, seed)
        state_file.write(path, classifier.model.state_dict())
    classifier.model.eval()
    with torch.inference_mode():
        chunks = zip(data.test.split(1000), data.test_labels.split(1000), strict=True)
        right = sum(
            (classifier.model(as_float(x.to(DEVICE))).argmax(1).cpu() == y).sum() for x, y in chunks
        )
    classifier.accuracy = int(right) / len(data.test)
    return classifier


def train(judge: Judge, data: Data, epochs: int, seed: int, batch: int = 128) -> None:
    """Train a judge on the labelled training images."""
    batch = min(batch, len(data.train))
    steps = epochs * (len(data.train) // batch)
    model = judge.model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    labels = data.train_labels.long()
    half = fastest_precision() == "bf16-mixed"
    for step in tqdm(range(steps), desc=f"judge {judge.name}", disable=None):
        seed_step(seed, step)
        rows = batch_rows(len(data.train), batch, step, seed)
        optimizer.param_groups[0]["lr"] = 2e-3 * cosine(step, steps, warmup=100)
        x, y = as_float(data.train[rows].to(DEVICE)), labels[rows].to(DEVICE)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half):
            loss = F.cross_entropy(model(x).float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
