"""Read graphs from other tools and bring them into normal form."""

from edgevae.compiler.reading.diffusers_folder import Sources
from edgevae.compiler.reading.diffusers_folder import read as read_folder
from edgevae.compiler.reading.latent_scale import FIELDS as LATENT_SCALE_FIELDS
from edgevae.compiler.reading.latent_scale import LatentScale
from edgevae.compiler.reading.latent_scale import read as read_latent_scale
from edgevae.compiler.reading.normalise import OPSET, simplify, verify
from edgevae.compiler.reading.ports import Note
from edgevae.compiler.reading.source_graph import SourceGraph
from edgevae.compiler.reading.source_graph import read as read_source

__all__ = [
    "LATENT_SCALE_FIELDS",
    "OPSET",
    "LatentScale",
    "Note",
    "SourceGraph",
    "Sources",
    "read_folder",
    "read_latent_scale",
    "read_source",
    "simplify",
    "verify",
]
