"""The command line: parse the arguments, run one command, and turn an error into an exit code."""

import io
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress

import edgevae
from edgevae.cli import streams
from edgevae.cli.options import UsageError
from edgevae.cli.reporting import deliver, note
from edgevae.cli.verb import EXIT_CODES
from edgevae.cli.verbs import VERBS
from edgevae.errors import BundleError, CheckError, EdgeVAEError, InputError, ProviderError
from edgevae.interrupts import INTERRUPTED

UNEXPECTED = 1  # argparse itself exits with 2 for wrong usage
BROKEN_PIPE = 141  # as a shell reports SIGPIPE
CODES = {BundleError: 3, InputError: 4, ProviderError: 5, CheckError: 6}


def parser() -> ArgumentParser:
    """Return the parser of every verb; parsed arguments have `run` and `parser`, the verb's."""
    parser = ArgumentParser(
        prog="edgevae",
        description="Run a variational autoencoder with numpy, onnxruntime and a C kernel.",
        epilog=f"example: edgevae generate 64 --seed 7 --out samples.png\n\n{EXIT_CODES}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    version = f"edgevae {edgevae.__version__}"
    parser.add_argument(
        "--version", action="version", version=version, help="show the version and exit"
    )
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for verb in VERBS:
        verb.add_to(verbs)
    return parser


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
        return deliver(args.run(args), args.notes, as_json=args.json)
    except UsageError as error:
        parser: ArgumentParser = args.parser
        parser.error(str(error))


def _parse(argv: Sequence[str] | None) -> Namespace:
    """Return the parsed arguments; --help, --version and wrong usage raise SystemExit."""
    printed = io.StringIO()  # because argparse ignores errors of standard output
    try:
        with redirect_stdout(printed):
            return parser().parse_args(argv, Namespace(notes=[]))
    finally:
        streams.write(printed.getvalue())


def _complain(error: object, code: int) -> int:
    with suppress(OSError):
        note(str(error))
    return code


if __name__ == "__main__":
    sys.exit(main())
