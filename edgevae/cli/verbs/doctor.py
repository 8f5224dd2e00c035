"""`edgevae doctor`: examine this machine."""

from argparse import ArgumentParser, Namespace

from edgevae.cli.reporting import Result
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    """Add no option: the doctor examines everything."""


def run(args: Namespace) -> Result:
    from edgevae.diagnostics import finding as levels
    from edgevae.diagnostics import numpy_import

    findings = [numpy_import.examine()]
    if findings[0].level == levels.OK:  # all else needs NumPy
        from edgevae.diagnostics import doctor

        findings += doctor.examine()
    problems = [finding.topic for finding in findings if finding.level == levels.PROBLEM]
    failure = ""
    if problems:
        failure = f"problems with {', '.join(problems)}; the lines above say how to fix them"
    facts = [finding._asdict() for finding in findings]
    return Result(facts, text="\n".join(map(str, findings)), failure=failure)


DOCTOR = Verb(
    "doctor",
    "Examine this machine: what works, what does not, and what to do about it.",
    "edgevae doctor --json",
    add_options,
    run,
    "The report covers NumPy, the processor, the kernel, onnxruntime and its plugins, the threads, "
    "and whether the shipped bundles verify on each provider in each of their precisions. The exit "
    "code is 6 if anything is wrong.",
)
