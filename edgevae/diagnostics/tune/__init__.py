"""Find the fastest way to run a bundle on this machine."""

from edgevae.diagnostics.tune.table import table
from edgevae.diagnostics.tune.tuner import Tuner

__all__ = ["Tuner", "table"]
