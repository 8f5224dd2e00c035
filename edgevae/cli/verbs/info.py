"""`edgevae info`: show the machine, a bundle and how the bundle runs."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.reporting import Facts, Result
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    from edgevae.bundle import Bundle
    from edgevae.engine import Tuning
    from edgevae.vae import VAE


def add_options(parser: ArgumentParser) -> None:
    options.add_bundle(parser)
    options.add_session(parser)


def run(args: Namespace) -> Result:
    import edgevae
    from edgevae import bundle
    from edgevae.diagnostics import bench
    from edgevae.engine import machine, providers

    vae = options.load(args)
    kernels = edgevae.kernels()
    facts = {
        **bench.machine(),
        "kernel": kernels["active"],
        "kernels": kernels["available"],
        "providers": providers.available(),
        "threads": machine.usable_threads(),
        "threads_from": machine.why_threads(),
        "bundles": bundle.names(),
        "bundle": _bundle_facts(vae.bundle),
        **_plan_facts(vae),
        "runs": {
            role: {**placement._asdict(), "graph": _graph_facts(vae, role, placement.provider)}
            for role, placement in vae.providers.items()
        },
    }
    return Result(facts, text=_as_text(facts))


def _bundle_facts(bundle: "Bundle") -> Facts:
    """Return the description of a bundle: its manifest, with the prior in words."""
    fields = bundle.as_json()
    fields.pop("schema")
    x, prior = fields.pop("x"), fields.pop("prior")
    priors = {
        "mixture": f"mixture of {bundle.components}",
        "normal": "standard normal",
        "none": "none: it encodes and decodes, and cannot generate",
    }
    return {
        "name": fields.pop("name"),
        "path": str(bundle.path),
        "kind": fields.pop("kind"),
        "x_shape": x["shape"],
        "x_range": x["range"],
        "latent_shape": fields.pop("latent_shape"),
        "model": bundle.model,
        "prior": priors[prior["kind"]],
        **({"prior_by_class": True} if bundle.by_class else {}),
        **fields,
        "quality": fields.get("quality", {}),
    }


def _graph_facts(vae: "VAE", role: str, provider: str) -> Facts:
    """Return which graph of the bundle a provider runs for a role, and why."""
    from edgevae import engine

    entry = vae.graph(role).entry
    tuned = vae.runner.tuning.plan(provider, vae.precision, role)
    return {
        "file": entry.file,
        "target": entry.target,
        "precision": entry.precision,
        "why": engine.why(entry, provider, tuned.target if tuned else None),
    }


def _plan_facts(vae: "VAE") -> Facts:
    """Return the plans in use, and what was tuned, if anything."""
    from edgevae.engine import tuned

    tuning = vae.runner.tuning
    in_use = {role: vae.plan(role)._asdict() for role in vae.bundle.roles}
    facts: Facts = {f"plans_on_{vae.provider}": in_use}
    if tuning.date:
        return {**facts, "tuned": _tuned_facts(tuning)}
    if versions := tuned.other_versions(vae.bundle, vae.threads):
        then = " and ".join(f"{name} {version}" for name, version in versions.items())
        facts["tuned"] = f"with {then}, and not used with other versions: run `edgevae tune` again"
    return facts


def _tuned_facts(tuning: "Tuning") -> Facts:
    """Return what `edgevae tune` found, each setting and candidate by its name."""
    return {
        "date": tuning.date,
        "min_psnr": tuning.min_psnr,
        "compared": [*tuning.compared],
        "settings": {
            f"{each.provider} {each.precision}": {
                "psnr": each.psnr,
                **{role: plan._asdict() for role, plan in each.plans.items()},
            }
            for each in tuning.settings
        },
        "measured": {
            f"{each.role} {each.provider} {each.precision} {each.target}": each.verdict
            for each in tuning.measured
        },
    }


def _as_text(facts: Facts, indent: str = "") -> str:
    """Return one line for each fact, nested facts indented below their name."""
    lines = []
    for key, value in facts.items():
        label = f"{indent}{key.replace('_', ' ')}"
        if isinstance(value, dict) and "sha256" in value:
            lines.append(f"{label:<20} {value['bytes']:>9,} bytes  sha256 {value['sha256'][:16]}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [label, *(f"{indent}  {_in_one_line(each)}" for each in value)]
        elif isinstance(value, dict):
            lines += [label, _as_text(value, indent + "  ")]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{label:<20} {shown}")
    return "\n".join(lines)


def _in_one_line(facts: Facts) -> str:
    """Return facts as "role decoder, target any, call us 1: 20.5"."""
    shown = []
    for key, value in facts.items():
        if isinstance(value, dict):
            value = " ".join(f"{name}: {each}" for name, each in value.items())
        shown.append(f"{key.replace('_', ' ')} {value}")
    return ", ".join(shown)


INFO = Verb(
    "info",
    "Show the machine, a bundle and how the bundle runs.",
    "edgevae info --json",
    add_options,
    run,
)
