"""The command line: parse the arguments, run one command, and turn an error into an exit code."""

import io
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress

from edgevae.cli import streams
from edgevae.cli.options import parser
from edgevae.cli.reporting import UsageError
from edgevae.errors import BundleError, CheckError, EdgeVAEError, InputError, ProviderError

UNEXPECTED = 1  # argparse itself exits with 2 for wrong usage
INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell reports SIGINT and SIGPIPE
CODES = {BundleError: 3, InputError: 4, ProviderError: 5, CheckError: 6}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` is without the program's name."""
    streams.open_closed()
    try:
        return _run(argv)
    except EdgeVAEError as error:
        return _complain(error, CODES.get(type(error), UNEXPECTED))
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        place = "" if error.filename else "cannot read or write a standard stream: "
        return _complain(f"{place}{error}", CODES[InputError])
    except KeyboardInterrupt:
        # If the interrupt arrived inside an exec (a dataclass being imported, for example),
        # `python -m` would end by the signal although it was handled here. An exec that
        # succeeds clears that state.
        exec("")
        return _complain("interrupted", INTERRUPTED)
    finally:
        streams.discard_unwritten()


def _run(argv: Sequence[str] | None) -> int:
    args = _parse(argv)
    try:
        code: int = args.command(args)
    except UsageError as error:
        command: ArgumentParser = args.parser
        command.error(str(error))
    streams.write("")
    return code


def _parse(argv: Sequence[str] | None) -> Namespace:
    """Return the parsed arguments; --help, --version and wrong usage raise SystemExit."""
    printed = io.StringIO()  # because argparse ignores errors of standard output
    try:
        with redirect_stdout(printed):
            return parser().parse_args(argv)
    finally:
        streams.write(printed.getvalue())


def _complain(error: object, code: int) -> int:
    with suppress(OSError):
        print(f"edgevae: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
