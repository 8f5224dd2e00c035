"""A bundle, the folder that a device needs to run one VAE: its only reader and writer."""

from edgevae.bundle.manifest import (
    LIKELIHOODS,
    MODELS,
    PRIORS,
    SCHEMA,
    STREAM,
    Bundle,
    File,
    Mixture,
    Tiles,
    extend,
    find,
    how_to_have,
    names,
    read,
    write,
)
from edgevae.data import CASES, KINDS, Likelihood, Text

__all__ = [
    "CASES",
    "KINDS",
    "LIKELIHOODS",
    "MODELS",
    "PRIORS",
    "SCHEMA",
    "STREAM",
    "Bundle",
    "File",
    "Likelihood",
    "Mixture",
    "Text",
    "Tiles",
    "extend",
    "find",
    "how_to_have",
    "names",
    "read",
    "write",
]
