"""The report of a bundle of text: how much of a string it keeps, and how likely its samples are.

All figures are computed with the bundle's own graphs through edgevae, as on a device. Two language
models judge the strings. One was trained on half of the held-out strings, which no VAE was trained
on, and has few strings; the other was trained on the training set, and has memorised much of it.
"""

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgevae
from edgevae.data import likelihood
from train.data.dataset import Data
from train.data.lines import strings
from train.evaluation.ngrams import Ngrams

ROWS = 10_000  # strings in a generated set
SHOWN = 40  # generated strings on the page
APART_ORDER, STRICT_ORDER = 3, 5  # the orders that fit real held-out strings best
SETS = ("held out", "training set", "generated", "N(0, I) decoded", "shuffled letters")


def report(path: Path, data: Data, out: Path, command: str) -> dict[str, Any]:
    """Judge the bundle at `path` on `data`; write report.json and report.md to `out`."""
    began = time.monotonic()
    vae = edgevae.load(path)
    assert data.text is not None
    train, test = (strings(x, data.text) for x in (data.train, data.test))
    apart = Ngrams(test[::2], APART_ORDER, len(data.text.alphabet) + 1)
    strict = Ngrams(train, STRICT_ORDER, len(data.text.alphabet) + 1)
    known = set(train)
    rows = {}
    for name, items in sets(vae, train, test[1::2]).items():
        rows[name] = {
            "apart": apart.nats(items),
            "strict": strict.nats(items),
            "unique": len(set(items)) / len(items),
            "novel": sum(item not in known for item in items) / len(items),
            "items": len(items),
        }
    generated = vae.generate(SHOWN, seed=1)
    result = {
        "bundle": vae.bundle.name,
        "command": command,
        "data": data.name,
        "parameters": vae.bundle.provenance.get("parameters"),
        "bytes": sum(file.bytes for file in vae.bundle.files.values()),
        "kept": kept(vae, test),
        "sets": rows,
        "generated": generated,
        "interpolations": [vae.interpolate(a, b, 7) for a, b in pairs(test)],
        "seconds": round(time.monotonic() - began),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    (out / "report.md").write_text(markdown(result))
    return result


def sets(vae: edgevae.VAE, train: Sequence[str], held_out: Sequence[str]) -> dict[str, list[str]]:
    """Return the judged sets in the order of SETS; N(0, I) only if the prior is another."""
    shuffler = random.Random(0)
    shuffled = ["".join(shuffler.sample(item, len(item))) for item in held_out]
    z = np.random.default_rng(0).standard_normal((ROWS, *vae.bundle.latent_shape))
    encoding = vae.bundle.text
    assert encoding is not None
    normal = encoding.strings(vae.decode(z.astype(np.float32))).tolist()
    each = (list(held_out), list(train[:ROWS]), vae.generate(ROWS, seed=0), normal, shuffled)
    judged = dict(zip(SETS, each, strict=True))
    if not vae.bundle.components:
        del judged["N(0, I) decoded"]
    return judged


def kept(vae: edgevae.VAE, test: Sequence[str]) -> dict[str, float]:
    """Return how much of held-out strings remains after encoding and decoding.

    `exact` and `characters` are at z = mu, `recon` and `kl` at one z of each string.
    """
    x = vae.bundle.data.read(list(test)).rows
    posterior = vae.encode(x)
    x_hat = vae.decode(posterior.mu)
    right = x_hat.argmax(2) == x.argmax(2)
    recon = likelihood.recon(x, vae.decode(posterior.sample(seed=0)), vae.bundle.likelihood)
    return {
        "items": len(test),
        "exact": float(right.all(1).mean()),
        "characters": float(right[x.argmax(2) < x.shape[2] - 1].mean()),
        "recon": float(recon.mean()),
        "kl": float(posterior.kl().mean()),
    }


def pairs(test: Sequence[str]) -> list[tuple[str, str]]:
    """Return the ends of five interpolations: those of the README, and four of held-out strings."""
    ends = [("Smith", "Garcia")] if "s" in "".join(test).lower() else []
    return [*ends, *zip(test[0:5], test[5:10], strict=False)][:5]


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page."""
    kept, sets = report["kept"], report["sets"]
    lines = [
        f"# {report['bundle']}: text in one pass",
        "",
        f"`{report['command']}`: {report['parameters']:,} parameters, "
        f"{report['bytes'] / 1e6:.2f} MB, {report['seconds']} s.",
        "",
        f"Of {kept['items']:,} held-out strings {kept['exact']:.1%} are reconstructed exactly at "
        f"z = mu, and {kept['characters']:.2%} of their characters; recon is {kept['recon']:.2f} "
        f"and KL {kept['kl']:.2f} nats a string at one z.",
        "",
        "The figures are nats a character, under a language model of half of the held-out strings "
        "(3-grams; the other half is the first row) and under one of the training set (5-grams, "
        "which have memorised much of it). `worse` is the difference from the first row.",
        "",
        "| set | half held out | worse | training set | worse | unique | novel |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    real = sets[SETS[0]]
    for name, row in sets.items():
        nats = " | ".join(
            f"{row[judge]:.3f} | {row[judge] - real[judge]:+.3f}" for judge in ("apart", "strict")
        )
        share = f"{row['unique']:.1%} | {row['novel']:.1%}"
        lines.append(f"| {name} ({row['items']:,}) | {nats} | {share} |")
    lines += ["", f"Generated, seed 1: {', '.join(report['generated'])}.", ""]
    lines += [f"- {' → '.join(path)}" for path in report["interpolations"]]
    return "\n".join(lines) + "\n"
