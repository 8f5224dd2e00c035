"""Rewrites that make a graph faster, one a file, and the pipeline that applies them."""

from edgevae.compiler.rewrites import race
from edgevae.compiler.rewrites.pipeline import PASSES, Row, lowered, optimise, serialised, table

__all__ = ["PASSES", "Row", "lowered", "optimise", "race", "serialised", "table"]
