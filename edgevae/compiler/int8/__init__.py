"""The int8 variant of a graph: calibration ranges, equalisation and quantisation."""

from edgevae.compiler.int8.variant import Variant, build

__all__ = ["Variant", "build"]
