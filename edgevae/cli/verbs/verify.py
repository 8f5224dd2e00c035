"""`edgevae verify`: check a bundle's results on this machine."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.reporting import Result
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    options.add_bundle(parser)
    options.add_session(parser)


def run(args: Namespace) -> Result:
    from dataclasses import asdict

    from edgevae.diagnostics import verify

    vae = options.load(args)
    verification = verify.verify(vae)
    failure = ""
    if verification.failed:
        failure = (
            f"{vae.bundle.path} on provider {vae.provider} in {vae.precision}: expected the "
            f"outputs that the bundle carries, got others from {', '.join(verification.failed)}; "
            f"try --provider cpu for the graphs, EDGEVAE_KERNEL=scalar for the stream"
        )
    report = {**asdict(verification), "failed": verification.failed}
    return Result(report, text=str(verification), failure=failure)


VERIFY = Verb(
    "verify",
    "Check that a bundle gives the results that it gave when it was written.",
    "edgevae verify fashion --provider cpu",
    add_options,
    run,
    "The checks are x -> mu, logvar and z -> x_hat of every graph, against the outputs that the "
    "bundle carries, and the latents of the random stream, against golden ones to the bit. The "
    "graphs in use run on the provider, the others on the CPU.",
)
