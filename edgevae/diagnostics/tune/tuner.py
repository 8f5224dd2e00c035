"""Find the fastest provider, graph and division of rows for a bundle on this machine.

Every candidate must pass the bundle's self-check first. Then, for each role, a short round compares
all graphs; the fastest graph of each provider and precision goes on, and its division of rows is
measured in detail, unless it is far behind the others; a last round compares the settings once
more, side by side.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from edgevae.bundle import Bundle
from edgevae.diagnostics.tune.candidates import (
    Candidate,
    candidates,
    crash,
    opened,
    refusal,
    settings,
    similarity,
    words,
)
from edgevae.diagnostics.tune.role import Backend, RoleTimes
from edgevae.engine import Measured, Runner, TunedSetting, Tuning, providers, usable_threads


class Tuner:
    """A comparison of everything that can run a bundle here; `steps` carries it out.

    `names` are the providers to compare; None compares all that this onnxruntime has. `precisions`
    are those to measure; None measures all that the bundle and the providers have. `seconds` is
    the approximate time for each graph in each setting.

    Afterwards `refused` has the candidates that failed, with the reason, `similarities` the PSNR of
    each setting in dB, and `roles` the measurements by role.
    """

    def __init__(
        self,
        bundle: Bundle,
        names: Sequence[str] | None = None,
        precisions: Sequence[str] | None = None,
        *,
        threads: int | None = None,
        seconds: float = 4.0,
    ) -> None:
        self.bundle = bundle
        self.threads = usable_threads() if threads is None else threads
        self._compared = () if names else tuple(dict.fromkeys(["cpu", *providers.available()]))
        self._seconds = seconds
        self._candidates = [
            candidate
            for setting in settings(bundle, names or self._compared, precisions)
            for candidate in candidates(bundle, *setting)
        ]
        # Only one method of scoring runs the activations, and as often as the encoder.
        self._roles = [role for role in ("decoder", "encoder") if role in bundle.roles]
        self._runners: dict[Candidate, Runner] = {}
        self.refused: dict[Candidate, str] = {}
        self.similarities: dict[Backend, float | None] = {}
        self.roles: dict[str, RoleTimes] = {}

    @property
    def most_steps(self) -> int:
        """The most steps that `steps` takes."""
        pairs = {candidate[:2] for candidate in self._candidates}
        return len(self._candidates) + len(self._roles) * (2 + len(pairs))

    def steps(self) -> Iterator[None]:
        """Check and measure; yield after each step.

        A candidate that fails is refused, and the others go on.
        """
        for candidate in self._candidates:
            self._check(candidate)
            yield
        for role in self._roles:
            if self._runners:
                self.roles[role] = RoleTimes(role, self._runners, self.threads, self._seconds)
                yield from self.roles[role].stages()

    def _check(self, candidate: Candidate) -> None:
        """Open a candidate and run its self-check; note it as refused, or keep it open."""
        setting = candidate[:2]
        if candidate.provider != "cpu" and (reason := crash(self.bundle, candidate, self.threads)):
            self.refused[candidate] = reason
            return
        try:
            runner = opened(self.bundle, candidate, self.threads)
            reason = refusal(runner)
            if not reason and setting not in self.similarities:
                reference = next(iter(self._runners.values()), runner)
                self.similarities[setting] = similarity(reference, runner)
        except Exception as error:  # of any kind: a provider may raise its own
            reason = words(error)
        if reason:
            self.refused[candidate] = reason
        else:
            self._runners[candidate] = runner

    # --- the result --------------------------------------------------------------------------

    def tuning(self, min_psnr: float | None = None) -> Tuning:
        """Return what was found; `min_psnr` is as in `Tuning`."""
        found = []
        for setting in self.similarities:
            plans = {
                role: times.details[setting].plan
                for role, times in self.roles.items()
                if setting in times.details
            }
            if plans:
                found.append(TunedSetting(*setting, self.similarities[setting], plans))
        return Tuning(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            min_psnr=min_psnr,
            compared=self._compared,
            settings=tuple(found),
            measured=tuple(self._verdicts()),
        )

    def _verdicts(self) -> Iterator[Measured]:
        """Yield the rate of each candidate in the short round, and the refused ones."""
        for role, times in self.roles.items():
            fastest = max(times.graphs.values(), default=0.0)
            for candidate, rate in times.graphs.items():
                verdict = f"{rate / fastest:.2f} of the fastest graph in the short round"
                yield Measured(role, *candidate, rate, verdict)
            for candidate, reason in times.refused.items():
                yield Measured(role, *candidate, 0.0, f"refused: {reason}")
        for candidate, reason in self.refused.items():
            yield Measured("all", *candidate, 0.0, f"refused: {reason}")
