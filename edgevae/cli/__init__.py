"""The command line of edgevae."""

from edgevae.cli.main import main, parser

__all__ = ["main", "parser"]
