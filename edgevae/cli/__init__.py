"""The command line of edgevae."""

from edgevae.cli.main import main
from edgevae.cli.options import parser

__all__ = ["main", "parser"]
