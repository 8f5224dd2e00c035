"""What `edgevae tune` measured on this machine, in the user's folder for caches.

There is one file for the graphs of a bundle, a machine and a number of threads. A file that is
damaged, or that another machine wrote, counts as none, and so does whatever it says of graphs that
the bundle lacks. A file of other versions of edgevae, onnxruntime or a plugin is not used either,
and `other_versions` tells of it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgevae import atomic
from edgevae.bundle import Bundle
from edgevae.engine import plugins, providers
from edgevae.engine.machine import cpu_name
from edgevae.engine.ort import onnxruntime
from edgevae.engine.targets import architecture
from edgevae.errors import BundleError, InputError
from edgevae.json_fields import Fields

SCHEMA = 2

# Bounds on the numbers of a file, above any sensible ones.
_MAX_ROWS = 1 << 24
_MAX_BYTES = 1 << 20


class Setting(NamedTuple):
    """The surroundings of a graph: a provider's short name, a precision, a number of threads."""

    provider: str
    precision: str
    threads: int


class TunedPlan(NamedTuple):
    """The graph of a role and the division of its rows that were fastest in one setting.

    `target` is that of the bundle's graph. The other fields are those of `plans.Plan`, and
    `rows_per_second` is the rate that was measured with many rows.
    """

    target: str
    chunk: int
    single_call_rows: int
    workers: int
    threads: int
    worker_rows: int
    rows_per_second: float


class TunedSetting(NamedTuple):
    """The plans of a provider and a precision, by role.

    `psnr` is the similarity of its pixels to those of float32 in dB; None for float32 itself.
    """

    provider: str
    precision: str
    psnr: float | None
    plans: Mapping[str, TunedPlan]


class Measured(NamedTuple):
    """The rate of a candidate in the last run and, in words, how it compares or why it was refused.

    `role` is "all" for a candidate that was refused before any role was measured.
    """

    role: str
    provider: str
    precision: str
    target: str
    rows_per_second: float
    verdict: str


class Tuning(NamedTuple):
    """Everything that `edgevae tune` found out about a bundle on this machine.

    `date` is that of the last run, in ISO 8601. `min_psnr` is the least similarity to float32, in
    dB, that the user accepts; None accepts float32 alone. `compared` are the providers that a run
    of all providers compared, with those that it refused; it is empty if there was no such run.
    `measured` has the candidates of the last run.
    """

    date: str = ""
    min_psnr: float | None = None
    compared: tuple[str, ...] = ()
    settings: tuple[TunedSetting, ...] = ()
    measured: tuple[Measured, ...] = ()

    def setting(self, provider: str, precision: str) -> TunedSetting | None:
        """Return the setting of this provider and precision; None if it was not measured."""
        for setting in self.settings:
            if (setting.provider, setting.precision) == (provider, precision):
                return setting
        return None

    def plan(self, provider: str, precision: str, role: str) -> TunedPlan | None:
        """Return the plan of a role in a setting; None if it was not measured."""
        setting = self.setting(provider, precision)
        return setting.plans.get(role) if setting else None

    def accepts(self, setting: TunedSetting) -> bool:
        """Return True for float32, and for a setting within `min_psnr` of it."""
        if setting.precision == "float32":
            return True
        return (
            self.min_psnr is not None and setting.psnr is not None and setting.psnr >= self.min_psnr
        )

    def updated(self, new: "Tuning") -> "Tuning":
        """Return the tuning after a new run, which replaces the settings that it tried."""
        tried = {(each.provider, each.precision) for each in new.measured}
        kept = (each for each in self.settings if (each.provider, each.precision) not in tried)
        return new._replace(compared=new.compared or self.compared, settings=(*kept, *new.settings))

    def as_json(self) -> dict[str, Any]:
        settings = [
            {**each._asdict(), "plans": {role: p._asdict() for role, p in each.plans.items()}}
            for each in self.settings
        ]
        return {
            **self._asdict(),
            "settings": settings,
            "measured": [each._asdict() for each in self.measured],
        }

    @classmethod
    def from_json(cls, fields: Fields, threads: int) -> "Tuning":
        """Return the tuning in these fields, for so many threads.

        Raises `BundleError` if they are damaged.
        """
        return cls(
            fields.text("date"),
            _number_or_none(fields, "min_psnr"),
            _texts(fields, "compared"),
            tuple(_setting_from_json(each, threads) for each in fields.objects("settings")),
            tuple(map(_measured_from_json, fields.objects("measured"))),
        )


UNTUNED = Tuning()


def _setting_from_json(fields: Fields, threads: int) -> TunedSetting:
    return TunedSetting(
        fields.text("provider"),
        fields.text("precision"),
        _number_or_none(fields, "psnr"),
        {role: _plan_from_json(each, threads) for role, each in fields.fields("plans").each()},
    )


def _plan_from_json(fields: Fields, threads: int) -> TunedPlan:
    return TunedPlan(
        fields.text("target"),
        _bounded(fields, "chunk", 1, _MAX_ROWS),
        _bounded(fields, "single_call_rows", 0, _MAX_ROWS),
        _bounded(fields, "workers", 1, max(2, threads)),
        _bounded(fields, "threads", 1, threads),
        _bounded(fields, "worker_rows", 1, _MAX_ROWS),
        fields.number("rows_per_second"),
    )


def _measured_from_json(fields: Fields) -> Measured:
    return Measured(
        role=fields.text("role"),
        provider=fields.text("provider"),
        precision=fields.text("precision"),
        target=fields.text("target"),
        rows_per_second=fields.number("rows_per_second"),
        verdict=fields.text("verdict"),
    )


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    value = fields.take(key)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise fields.bad(key, "a list of strings")
    return tuple(value)


def _number_or_none(fields: Fields, key: str) -> float | None:
    return None if fields.take(key) is None else fields.number(key)


def _bounded(fields: Fields, key: str, least: int, most: int) -> int:
    value = fields.integer(key)
    if not least <= value <= most:
        raise fields.bad(key, f"a whole number from {least} to {most}")
    return value


# --- files -----------------------------------------------------------------------------------


def read(bundle: Bundle, threads: int) -> Tuning:
    """Return what `edgevae tune` wrote for a bundle on this machine, with so many threads.

    The result is empty if there is no file, or if it is damaged or from another machine.
    """
    tuning, versions = _stored(bundle, threads)
    return tuning if versions == {} else UNTUNED


def other_versions(bundle: Bundle, threads: int) -> Mapping[str, str]:
    """Return the versions of a stored tuning that is not used because they are others than here.

    They are those that differ, by name. The result is empty if nothing is stored, or if it is used.
    """
    return _stored(bundle, threads)[1]


def _stored(bundle: Bundle, threads: int) -> tuple[Tuning, Mapping[str, str]]:
    """Return what is stored, and those of its versions that differ from the ones here."""
    folder = _folder(bundle)
    if folder is None or not folder.is_dir():  # the usual case, which is cheap to check
        return UNTUNED, {}
    path = folder / _file_name(threads)
    try:
        if path.stat().st_size > _MAX_BYTES:
            return UNTUNED, {}
        fields = Fields(json.loads(path.read_bytes()), str(path))
        if fields.integer("schema") != SCHEMA or fields.take("machine") != _machine(threads):
            return UNTUNED, {}
        then, now = fields.fields("versions"), _versions()
        # `automatic` looks after providers that are gone or new.
        both = {name: then.text(name) for name in then if name in now}
        others = {name: version for name, version in both.items() if version != now[name]}
        return _possible(Tuning.from_json(fields, threads), bundle), others
    except (OSError, ValueError, RecursionError, BundleError):
        return UNTUNED, {}


def _possible(tuning: Tuning, bundle: Bundle) -> Tuning:
    """Return the tuning without settings in which the bundle or the provider cannot compute."""
    settings = (
        each
        for each in tuning.settings
        if each.precision in bundle.precisions
        or (each.precision == "bf16" and each.provider in providers.BF16)
    )
    return tuning._replace(settings=tuple(settings))


def write(bundle: Bundle, threads: int, tuning: Tuning) -> Path:
    """Store what was measured, together with what is known of other providers; return the file.

    Raises `InputError` if this user has no folder for caches, OSError if it is read-only.
    """
    folder = _folder(bundle)
    if folder is None:
        raise InputError("no folder for caches: set XDG_CACHE_HOME to the path of one")
    content = {
        "schema": SCHEMA,
        "bundle": bundle.name,
        "machine": _machine(threads),
        "versions": _versions(),
        **read(bundle, threads).updated(tuning).as_json(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _file_name(threads)
    with atomic.create(path) as file:
        file.write(json.dumps(content, indent=2).encode() + b"\n")
    return path


def _folder(bundle: Bundle) -> Path | None:
    """Return the folder for a bundle's graphs, which does not depend on the bundle's name."""
    caches = _caches()
    graphs = {bundle.files[entry.file].sha256 for entry in bundle.graphs}
    return None if caches is None else caches / "edgevae" / "tuned" / _digest(sorted(graphs))


def _file_name(threads: int) -> str:
    return f"{_digest(_machine(threads))}.json"


def _caches() -> Path | None:
    """Return the folder of the user's caches; None if there is none."""
    variable = {"win32": "LOCALAPPDATA"}.get(sys.platform, "XDG_CACHE_HOME")
    if os.path.isabs(folder := os.environ.get(variable, "")):
        return Path(folder)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / {"darwin": "Library/Caches", "win32": "AppData/Local"}.get(sys.platform, ".cache")


def _machine(threads: int) -> dict[str, str | int]:
    """Return what a measurement depends on beside the bundle, the setting and the versions."""
    return {"cpu": cpu_name(), "architecture": architecture(), "threads": threads}


def _versions() -> dict[str, str]:
    """Return the versions of edgevae, onnxruntime and the installed plugins by name."""
    from importlib import metadata

    import edgevae

    versions = {"edgevae": edgevae.__version__, "onnxruntime": onnxruntime().__version__}
    for module in plugins.installed().values():
        name = module.replace("_", "-")
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a module that is not from a package
            versions[name] = "unknown"
    return versions


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
