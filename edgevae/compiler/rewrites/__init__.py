"""Rewrites that make a graph faster, one a file, and the pipeline that applies them."""

from edgevae.compiler.rewrites import race
from edgevae.compiler.rewrites.pipeline import PASSES, Row, lowered, optimise, race_rows, table

__all__ = ["PASSES", "Row", "lowered", "optimise", "race", "race_rows", "table"]
