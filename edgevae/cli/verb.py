"""A verb of the command line: its name, its help, its options and the function that runs it."""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from edgevae.cli.reporting import Result

EXIT_CODES = """\
exit codes: 0 done; 1 unexpected error; 2 wrong usage; 3 bad bundle; 4 bad input, or an output
that cannot be written; 5 provider not available; 6 check failed; 10 `score` flagged an item;
130 interrupted; 141 the reader of standard output went away
"""


class Verb(NamedTuple):
    """A verb such as `generate`.

    summary: one sentence for the list of verbs. details: further sentences for the verb's own
    help. example: one command line, or several. add_options: declares the verb's options. run:
    does the work and returns the result, which the caller delivers.
    """

    name: str
    summary: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Result]
    details: str = ""

    def add_to(self, verbs: Any) -> None:
        """Add this verb to the subparsers of the command line."""
        parser: argparse.ArgumentParser = verbs.add_parser(
            self.name,
            help=self.summary.rstrip("."),
            description=f"{self.summary} {self.details}".strip(),
            epilog=f"example: {self.example}\n\n{EXIT_CODES}",
            formatter_class=_Help,
        )
        parser.set_defaults(run=self.run, parser=parser)
        parser.add_argument("--json", action="store_true", help="write the report as JSON")
        self.add_options(parser)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wrap descriptions, and leave the example and the table of exit codes as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)
