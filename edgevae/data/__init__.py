"""The data of a model: images, vectors, signals and text, their labels and their likelihood."""

from edgevae.data import likelihood
from edgevae.data.features import Features, numbered
from edgevae.data.image import (
    IMAGE_SUFFIXES,
    Image,
    from_pil,
    open_image,
    read_image,
    read_image_size,
    to_pil,
    to_uint8,
)
from edgevae.data.items import Items, Range
from edgevae.data.kind import Kind
from edgevae.data.kinds import KINDS, kind_from_json
from edgevae.data.labels import ClassNumbers, Label, Labels, class_numbers, classes_in_turn
from edgevae.data.likelihood import LIKELIHOODS, Deviance, Likelihood
from edgevae.data.signal import Signal
from edgevae.data.similarity import psnr
from edgevae.data.text import CASES, Text
from edgevae.data.vector import Vector

__all__ = [
    "CASES",
    "IMAGE_SUFFIXES",
    "KINDS",
    "LIKELIHOODS",
    "ClassNumbers",
    "Deviance",
    "Features",
    "Image",
    "Items",
    "Kind",
    "Label",
    "Labels",
    "Likelihood",
    "Range",
    "Signal",
    "Text",
    "Vector",
    "class_numbers",
    "classes_in_turn",
    "from_pil",
    "kind_from_json",
    "likelihood",
    "numbered",
    "open_image",
    "psnr",
    "read_image",
    "read_image_size",
    "to_pil",
    "to_uint8",
]
