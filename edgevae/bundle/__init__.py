"""A bundle, the folder that a device needs to run one VAE: its description, reader and writer."""

from edgevae.bundle.bundle import Bundle, Mixture
from edgevae.bundle.graph_entry import ANY, GraphEntry, how_to_add
from edgevae.bundle.manifest import (
    CALIBRATION_FILE,
    MANIFEST,
    MODELS,
    PRIOR_FILE,
    PRIORS,
    SCHEMA,
    Description,
    File,
    Manifest,
    Tiles,
)
from edgevae.bundle.reader import find, names, read
from edgevae.bundle.writer import check_replaceable, extend, write

# Names that were defined here before the kinds of data and the stream had modules of their own.
from edgevae.data import CASES, KINDS, LIKELIHOODS, Likelihood, Text
from edgevae.sampling import STREAM

__all__ = [
    "ANY",
    "CALIBRATION_FILE",
    "CASES",
    "KINDS",
    "LIKELIHOODS",
    "MANIFEST",
    "MODELS",
    "PRIORS",
    "PRIOR_FILE",
    "SCHEMA",
    "STREAM",
    "Bundle",
    "Description",
    "File",
    "GraphEntry",
    "Likelihood",
    "Manifest",
    "Mixture",
    "Text",
    "Tiles",
    "check_replaceable",
    "extend",
    "find",
    "how_to_add",
    "names",
    "read",
    "write",
]
