"""The delivery of a verb's result: the report, messages and the progress bar.

Data goes to --out. The report goes to standard output, or to standard error if the data went to
standard output. Messages and the progress bar go to standard error, the bar only to a terminal.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from edgevae.cli import streams
from edgevae.errors import CheckError

OK = 0
FLAGGED = 10  # `score` succeeded and flagged at least one item

Facts = dict[str, Any]


class Result(NamedTuple):
    """The outcome of a verb.

    facts: the report as JSON, indented by `indent` spaces unless that is None. text: the report
    for people, on standard output. message: a line for people, on standard error. data_on_stdout:
    whether standard output already holds data. failure: the message of a check that failed.
    """

    facts: Facts | list[Facts]
    text: str = ""
    message: str = ""
    data_on_stdout: bool = False
    indent: int | None = 2
    code: int = OK
    failure: str = ""


def written(out: str, facts: Facts, code: int = OK) -> Result:
    """Return the result of a verb that wrote data to `out`, a path or "-"."""
    place = "standard output" if out == "-" else out
    shown = {key: " ".join(v) if key == "inputs" else v for key, v in facts.items()}
    listed = ", ".join(f"{key} {value}" for key, value in shown.items() if value not in ("", None))
    return Result(
        {"out": out, **facts},
        message=f"wrote {place}: {listed}",
        data_on_stdout=out == "-",
        indent=None,
        code=code,
    )


def deliver(result: Result, notes: Sequence[str] = (), *, as_json: bool) -> int:
    """Write the report of a verb and return its exit code.

    JSON also has the `notes` about the inputs, if there are any. Raises CheckError if a check
    failed, and InputError if standard output cannot be written.
    """
    report = result.text and f"{result.text}\n"
    if as_json:
        import json

        facts = result.facts
        if notes and isinstance(facts, dict):
            facts = {**facts, "notes": list(notes)}
        report = json.dumps(facts, indent=result.indent) + "\n"
        if result.data_on_stdout:
            sys.stderr.write(report)
            report = ""
    streams.write(report)
    if result.message and not as_json:
        note(result.message)
    if result.failure:
        raise CheckError(result.failure)
    return result.code


def note(message: str) -> None:
    """Write a message to standard error."""
    print(f"edgevae: {message}", file=sys.stderr)


def progress(
    batches: Iterable[Any], total: int, unit: str = "row", count: Callable[[Any], int] = len
) -> Iterator[Any]:
    """Yield the batches, counted by a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield from batches
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=total, unit=unit, unit_scale=total > 9999, leave=False) as bar:
        for batch in batches:
            yield batch
            bar.update(count(batch))
