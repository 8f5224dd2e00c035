"""Latents: the prior, posteriors, paths between latents and variations of an item."""

from edgevae.latents import paths
from edgevae.latents.posterior import Posterior
from edgevae.latents.prior import Prior
from edgevae.latents.read import read_latents
from edgevae.latents.variations import widened

__all__ = ["Posterior", "Prior", "paths", "read_latents", "widened"]
