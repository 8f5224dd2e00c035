"""The command line: parse, run one command, turn what went wrong into an exit code."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from edgevae.cli.options import parser
from edgevae.cli.reporting import UsageError
from edgevae.errors import BundleError, CheckError, EdgeVAEError, InputError, ProviderError

UNEXPECTED = 1  # wrong usage is 2: argparse's own
INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell reports SIGINT and SIGPIPE
CODES = {BundleError: 3, InputError: 4, ProviderError: 5, CheckError: 6}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; argv is without the program's name."""
    args = parser().parse_args(argv)
    try:
        code: int = args.command(args)
        sys.stdout.flush()
        return code
    except UsageError as error:
        refused: ArgumentParser = args.parser
        refused.error(str(error))
    except EdgeVAEError as error:
        return _complain(error, CODES.get(type(error), UNEXPECTED))
    except BrokenPipeError:
        # What is left in the buffer has no reader; Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _complain(error, CODES[InputError])
    except KeyboardInterrupt:
        # Where the interrupt met an exec, as of a dataclass being imported, `python -m` would end
        # by the signal although it was handled here; an exec that goes well makes it forget.
        exec("")
        return _complain("interrupted", INTERRUPTED)


def _complain(error: object, code: int) -> int:
    print(f"edgevae: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
