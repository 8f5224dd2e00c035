"""Resolve the provider "auto" and the precision "auto" by what `edgevae tune` found out here."""

from collections.abc import Collection, Sequence

from edgevae.engine import providers
from edgevae.engine.plans import NEARLY_BEST
from edgevae.engine.providers import Preference, ProviderSpec, Request
from edgevae.engine.tuned import TunedSetting, Tuning

AUTO = "auto"


def resolve(
    provider: str, specs: Sequence[ProviderSpec] | None, precision: str, tuning: Tuning
) -> tuple[Preference, str]:
    """Return the sessions to try, and the precision, for the arguments of `edgevae.load`.

    What was tuned decides about "auto" alone, and about the precision if that is "auto"; without it
    they are an accelerator or the CPU, and float32. Raises `InputError`, `ProviderError`.
    """
    if specs is not None or (provider != AUTO and precision != AUTO):
        return _untuned(provider, specs, precision)
    if provider != AUTO:
        best = fastest(tuning, providers.candidates(provider), precision)
        return _untuned(provider, None, best.precision if best else precision)
    if not tuning.compared:
        return _untuned(provider, None, precision)
    available = providers.available()
    if new := sorted(set(available) - set(tuning.compared)):
        preference, precision = _untuned(provider, None, precision)
        note = f"edgevae tune has not measured {', '.join(new)}, which is new"
        return preference._replace(why=f"{preference.why}; {note}"), precision
    best = fastest(tuning, available, precision)
    if best is None:
        return _untuned(provider, None, precision)
    return _tuned(best, fastest(tuning, tuning.compared, precision), tuning.date)


def fastest(tuning: Tuning, names: Collection[str], precision: str) -> TunedSetting | None:
    """Return the setting of these providers whose decoder is the fastest; None if there is none.

    `precision` "auto" stands for float32 and for those within `min_psnr` of it. Of settings that
    are nearly as fast as the fastest, the CPU is taken before others, and float32.
    """
    fitting = [
        setting
        for setting in tuning.settings
        if "decoder" in setting.plans
        and setting.provider in names
        and (tuning.accepts(setting) if precision == AUTO else precision == setting.precision)
    ]
    rates = [setting.plans["decoder"].rows_per_second for setting in fitting]
    limit = NEARLY_BEST * max(rates, default=0.0)
    best = [each for each, rate in zip(fitting, rates, strict=True) if rate >= limit]
    return min(best, key=lambda e: (e.provider != "cpu", e.precision != "float32"), default=None)


def _untuned(
    provider: str, specs: Sequence[ProviderSpec] | None, precision: str
) -> tuple[Preference, str]:
    precision = "float32" if precision == AUTO else precision
    return providers.prefer(provider, specs, precision), precision


def _tuned(best: TunedSetting, first: TunedSetting | None, date: str) -> tuple[Preference, str]:
    """Return the sessions for a tuned setting, and for the CPU if its provider refuses.

    bf16 has no other session, since the CPU does not compute in it. `first` is the setting that was
    the fastest when it was measured.
    """
    provider, precision = best.provider, best.precision
    why = f"edgevae tune found {provider} to be the fastest on {date[:10]}"
    if first is not None and first.provider != provider:
        why = (
            f"edgevae tune found {first.provider} to be the fastest on {date[:10]}, which is gone, "
            f"and then {provider}"
        )
    alone = provider == "cpu" or precision == "bf16"
    names = [provider] if alone else [provider, *providers.candidates(AUTO)]
    choices = tuple((Request(name, {}),) for name in dict.fromkeys(names))
    return Preference(choices, why), precision
