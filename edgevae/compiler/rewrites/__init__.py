"""Rewrites that make a graph faster, one a file, and the pipeline that applies them."""
