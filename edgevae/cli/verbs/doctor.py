"""`edgevae doctor`: examine this machine."""

from argparse import ArgumentParser, Namespace

from edgevae.cli.reporting import Result
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    """Add no option: the doctor examines everything."""


def run(args: Namespace) -> Result:
    from edgevae.diagnostics import doctor

    findings = doctor.examine()
    problems = [finding.topic for finding in findings if finding.level == doctor.PROBLEM]
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
    "The report covers the processor, the kernel, onnxruntime and its plugins, the threads, and "
    "whether the shipped bundles verify on each provider. The exit code is 6 if anything is wrong.",
)
