"""The command line of edgevae."""

from edgevae.cli.main import main

__all__ = ["main"]
