"""What each verb of the command line does, from its parsed arguments to its exit code.

Whatever is heavy is imported inside the command that needs it: `edgevae --help` is quick. Data
goes to --out, reports to standard output (to standard error where data goes there), messages and
the progress bar, which only a terminal sees, to standard error.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from math import ceil
from typing import IO, TYPE_CHECKING, Any

import edgevae
from edgevae.errors import CheckError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.bundle import Bundle
    from edgevae.data.labels import Label
    from edgevae.files.inputs import Inputs
    from edgevae.vae import VAE

    Floats = NDArray[np.float32]

OK = 0
FLAGGED = 10  # of `score`: done, and something was strange

ARRAYS = ("npy", "npz")  # the forms of output that are no pictures

Report = dict[str, Any]


class UsageError(Exception):
    """Options that do not go together."""


def generate(args: argparse.Namespace) -> int:
    """Decodes rows drawn from the prior."""
    from edgevae.files import outputs as output

    vae = _load(args)
    out = args.out or _named("samples", ".png", vae.bundle)
    form = _form(out, vae.bundle)
    if args.dtype == "float32" and form not in ARRAYS:
        raise UsageError(f"--dtype float32: pictures are uint8; write .npy or .npz, not {out}")
    if args.dtype == "uint8" and vae.bundle.kind != "image":
        raise UsageError(
            f"--dtype uint8 is for images; {vae.bundle.name!r} makes {vae.bundle.kind}s"
        )
    seed = _seed(args)
    told = _labels(args)
    batches = vae.stream(
        args.n, seed=seed, start=args.start, temperature=args.temperature, labels=told
    )
    note = f"generate {args.n} --model {vae.bundle.name} --seed {seed} --start {args.start}"
    if args.labels:
        note += f" --labels {shlex.join(args.labels)}"
    output.save(
        out,
        form,
        _progress(batches, args.n),
        args.n,
        vae.bundle,
        dtype=args.dtype or "float32",
        names=output.index_names(args.start, args.n),
        note=f"{note} --temperature {args.temperature:g}",
        more={"seed": _uint64(seed), "start": _uint64(args.start)},
    )
    facts = {"start": args.start, "temperature": args.temperature, "model": vae.bundle.name}
    _report(args, out, {"rows": args.n, "seed": seed, **facts, "provider": vae.provider})
    return OK


def encode(args: argparse.Namespace) -> int:
    """Writes the posterior of each item."""
    import numpy as np

    from edgevae.files import inputs
    from edgevae.files import outputs as output

    out = args.out or ("-" if args.inputs == ["-"] else "latents.npz")
    if _form_named(out, stream="npz") != "npz":
        raise UsageError(f"--out: mu and logvar need a name that ends in .npz, got {out!r}")
    vae = _load(args)
    given = inputs.read(args.inputs, vae.bundle, notify=_tell)
    shape = given.rows, *vae.bundle.latent_shape
    mu, logvar = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def batches() -> "Iterator[Floats]":
        done = 0
        for x in given.batches:
            rows = slice(done, done := done + len(x))
            posterior = vae.encode(x)
            mu[rows], logvar[rows] = posterior.mu, posterior.logvar
            yield mu[rows]

    output.write_npz(out, "mu", _progress(batches(), given.rows), shape, "float32", logvar=logvar)
    _report(args, out, {"rows": given.rows, "latent_shape": list(vae.bundle.latent_shape)})
    return OK


def decode(args: argparse.Namespace) -> int:
    """Decodes latents, such as encode wrote."""
    from dataclasses import replace

    from edgevae import tiling
    from edgevae.data import labels as classes
    from edgevae.files import inputs
    from edgevae.files import outputs as output

    vae = _load(args)
    out = args.out or _named("decoded", ".png", vae.bundle)
    form = _form(out, vae.bundle)
    z = inputs.read_latents(args.latents, vae.bundle)
    y = classes.numbers(_labels(args), vae.bundle.classes, len(z))
    shown = replace(vae.bundle, x_shape=tiling.x_shape(vae.bundle, z)) if args.tile else vae.bundle

    def batches() -> "Iterator[Floats]":
        step = 1 if args.tile else 256
        for rows in (slice(first, first + step) for first in range(0, len(z), step)):
            yield vae.decode(z[rows], labels=None if y is None else y[rows], tile=args.tile)

    names = output.index_names(0, len(z))
    output.save(out, form, _progress(batches(), len(z)), len(z), shown, names=names)
    _report(args, out, {"rows": len(z), "shape": list(shown.x_shape), "provider": vae.provider})
    return OK


def reconstruct(args: argparse.Namespace) -> int:
    """Encodes and decodes each item, at z = mu."""
    vae = _load(args)
    return _map(args, vae, partial(vae.reconstruct, labels=_labels(args)), "reconstructed")


def denoise(args: argparse.Namespace) -> int:
    """Reconstructs with an encoder that was trained to see through noise."""
    vae = _load(args)
    return _map(args, vae, partial(vae.denoise, labels=_labels(args)), "denoised")


def interpolate(args: argparse.Namespace) -> int:
    """Decodes the way between two latents, as a line or an arc."""
    import numpy as np

    from edgevae.files import inputs
    from edgevae.files import outputs as output
    from edgevae.latents import paths as walks

    if len(args.inputs) not in (0, 2) or (args.inputs and args.seed is not None):
        raise UsageError("expected two inputs, or none and --seed to walk between two samples")
    vae = _load(args)
    out = args.out or _named("walk", ".gif", vae.bundle)
    form = _form(out, vae.bundle)
    told = _labels(args)
    facts: Report = {"rows": args.steps, "inputs": args.inputs}
    if args.inputs:
        ends = [_one(inputs.read([path], vae.bundle, notify=_tell), path) for path in args.inputs]
        a, b = vae.encode(np.concatenate(ends)).mu
    else:
        facts = {"rows": args.steps, "seed": _seed(args), "start": args.start}
        a, b = vae.sample(2, seed=facts["seed"], start=args.start, labels=told)

    way = (walks.arc if args.spherical else walks.line)(a, b, args.steps)
    if args.bounce:
        way = np.concatenate([way, way[-2:0:-1]])
        facts["rows"] = len(way)

    def batches() -> "Iterator[Floats]":
        for z in np.array_split(way, ceil(len(way) / 256)):
            yield vae.decode(z, labels=told)

    output.save(
        out,
        form,
        _progress(batches(), len(way)),
        len(way),
        vae.bundle,
        names=output.index_names(0, len(way)),
        columns=len(way),
    )
    _report(args, out, facts)
    return OK


def vary(args: argparse.Namespace) -> int:
    """Makes items that are different from each input and similar to it."""
    from edgevae.files import inputs
    from edgevae.files import outputs as output

    vae = _load(args)
    out = args.out or _named("varied", ".png", vae.bundle)
    form = _form(out, vae.bundle)
    given, seed = inputs.read(args.inputs, vae.bundle, notify=_tell), _seed(args)
    rows = given.rows * args.n

    def batches() -> "Iterator[Floats]":
        start = args.start
        for x in given.batches:
            varied: Floats = vae.vary(x, args.n, args.strength, seed=seed, start=start)
            start += len(x)
            yield varied.reshape(-1, *vae.bundle.x_shape)

    names = [f"{name}-{i}" for name in given.ids for i in range(args.n)]
    output.save(
        out,
        form,
        _progress(batches(), rows),
        rows,
        vae.bundle,
        dtype=given.dtype,
        names=output.index_names(0, rows) if given.form == "array" else names,
        columns=args.n if given.rows > 1 else None,
    )
    facts = {"rows": rows, "seed": seed, "start": args.start, "strength": args.strength}
    _report(args, out, {**facts, "provider": vae.provider})
    return OK


def traverse(args: argparse.Namespace) -> int:
    """Decodes what each of some dimensions of an item's latent changes."""
    import numpy as np

    from edgevae.files import inputs
    from edgevae.files import outputs as output

    vae = _load(args)
    out = args.out or _named("traversed", ".png", vae.bundle)
    form = _form(out, vae.bundle)
    x = _one(inputs.read([args.input], vae.bundle, notify=_tell), args.input)
    posterior = vae.encode(x)
    if unknown := [dim for dim in args.dim or () if dim >= vae.bundle.dims]:
        raise UsageError(f"--dim: expected 0 to {vae.bundle.dims - 1}, got {unknown[0]}")
    # The narrower its posterior is, the more the encoder has to say in a dimension.
    narrowest = np.argsort(posterior.logvar.ravel(), kind="stable")[: args.most].tolist()
    dims: list[int] = args.dim or narrowest
    rows = len(dims) * args.steps
    batches = (vae.traverse(posterior.mu[0], dim, args.steps, span=args.span) for dim in dims)
    output.save(
        out,
        form,
        _progress(batches, rows),
        rows,
        vae.bundle,
        names=[f"dim-{dim}-{step:03d}" for dim in dims for step in range(args.steps)],
        columns=args.steps,
    )
    _report(args, out, {"rows": rows, "dims": " ".join(map(str, dims))})
    return OK


def score(args: argparse.Namespace) -> int:
    """Says how strange each item is."""
    from edgevae.files import inputs
    from edgevae.files import score_lines as answers

    out = args.out or "-"
    try:
        form = answers.form_of(out, args.json)
    except ValueError as error:
        raise UsageError(f"--out: {error}") from error
    if args.alpha is not None and args.threshold is not None:
        raise UsageError("--alpha flags by p-values, --threshold by scores: give one of them")
    vae = _load(args)
    if args.heatmaps and vae.bundle.kind != "image":
        raise UsageError(f"--heatmaps are of images; {vae.bundle.name!r} takes {vae.bundle.kind}s")
    done = flagged = 0
    with answers.writer(out, form) as write:
        for ids, x in inputs.stream(args.inputs, vae.bundle, _tell):
            scores = vae.score(x, args.method, alpha=args.alpha, draws=args.draws, start=done)
            if args.threshold is not None:
                scores = replace(scores, is_anomaly=scores.values >= args.threshold)
            if args.heatmaps:
                _draw_heat(args.heatmaps, ids, x, scores.parts, vae.bundle)
            write(answers.answers(ids, scores, vae.bundle))
            done += len(ids)
            flagged += 0 if scores.is_anomaly is None else int(scores.is_anomaly.sum())
    _report(args, out, {"rows": done, "method": args.method, "flagged": flagged})
    return FLAGGED if flagged else OK


def _draw_heat(
    folder: str, ids: "Sequence[str | int]", x: "Floats", parts: "Floats", bundle: "Bundle"
) -> None:
    from edgevae.files import outputs as output
    from edgevae.plots import heatmap

    assert bundle.x_range is not None  # no image is without one
    x_range = bundle.x_range
    maps = (heatmap.draw(x[i : i + 1], parts[i : i + 1], x_range) for i in range(len(x)))
    names = [name if isinstance(name, str) else f"{name:06d}" for name in ids]
    output.write_folder(folder, maps, names, (0.0, 1.0))


def calibrate(args: argparse.Namespace) -> int:
    """Writes a bundle that gives p-values, by normal items that it was not trained on."""
    import numpy as np

    from edgevae.files import inputs

    vae = _load(args)
    batches = [x for _, x in inputs.stream(args.data, vae.bundle, _tell, disjoint=True)]
    x = np.concatenate(batches or [np.empty((0, *vae.bundle.x_shape), np.float32)])
    calibrated = vae.calibrate(x, args.alpha, methods=args.method, draws=args.draws)
    written = calibrated.save(args.out)
    known = calibrated.calibration
    assert known is not None
    used = {name: len(scores) for name, scores in known.scores.items()}
    fitted = len(x) - max(used.values())
    facts = {"model": written.name, "alpha": known.alpha, "fitted_on": fitted, "normals": used}
    _report(args, args.out, facts)
    return OK


def map_(args: argparse.Namespace) -> int:
    """Draws the latent space: a data set in it, the prior beside it, active units, a manifold."""
    import numpy as np

    from edgevae.files import array_files, inputs
    from edgevae.files import outputs as output
    from edgevae.latents.posterior import Posterior
    from edgevae.plots import latent_map as map

    vae = _load(args)
    given = inputs.read(args.inputs, vae.bundle, notify=_tell)
    labels = array_files.read_labels(args.inputs, given.rows)
    posteriors = [vae.encode(x) for x in _progress(given.batches, given.rows)]
    parts = ([getattr(each, part) for each in posteriors] for part in ("mu", "logvar"))
    posterior = Posterior(*(np.concatenate(part) for part in parts))
    if len(posterior.mu) < 3:
        raise InputError(f"a map takes some items, at least 3, got {len(posterior.mu)}")
    folder = args.out or "map/"
    for name, figure in map.pictures(vae, posterior, labels).items():
        output.write_figure(folder, name, figure)
        print(f"edgevae: drew {name}.png", file=sys.stderr)
    _report(args, folder, {"rows": given.rows, "labelled": labels is not None})
    return OK


def info(args: argparse.Namespace) -> int:
    """What runs here, and what a bundle holds."""
    from edgevae import bundle
    from edgevae.diagnostics import bench
    from edgevae.engine import machine, providers

    vae = _load(args)
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
        "plans_on_cpu": _plan_facts(vae.bundle),
        "runs": {role: placement._asdict() for role, placement in vae.providers.items()},
    }
    print(json.dumps(facts, indent=2) if args.json else _as_text(facts))
    return OK


def verify(args: argparse.Namespace) -> int:
    """Recomputes what PyTorch computed when the bundle was made."""
    from dataclasses import asdict

    from edgevae.diagnostics import verify as selfcheck

    vae = _load(args)
    verdict = selfcheck.verify(vae)
    print(json.dumps(asdict(verdict), indent=2) if args.json else verdict)
    if verdict.failed:
        raise CheckError(
            f"{vae.bundle.path} on provider {vae.provider} in {vae.precision}: "
            f"{', '.join(verdict.failed)} not as proved when the bundle was made; try --provider "
            f"cpu for the graphs, EDGEVAE_KERNEL=scalar for the stream"
        )
    return OK


def doctor(args: argparse.Namespace) -> int:
    """Examines this machine: what runs here, what does not, and what to do about it."""
    from edgevae.diagnostics import doctor

    findings = doctor.examine()
    if args.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print("\n".join(map(str, findings)))
    problems = [finding.topic for finding in findings if finding.level == doctor.PROBLEM]
    if problems:
        raise CheckError(f"not all is well: {', '.join(problems)}; what to do stands above")
    return OK


def bench(args: argparse.Namespace) -> int:
    """Measures providers, each beside plain onnxruntime."""
    from edgevae import bundle
    from edgevae.diagnostics import bench
    from edgevae.engine import providers
    from edgevae.files import outputs as output

    if args.chart and not args.chart.endswith(".png"):
        raise UsageError(f"--chart: expected a name that ends in .png, got {args.chart!r}")
    name = bundle.read(bundle.find(args.model)).name
    if args.provider:
        chosen = list(dict.fromkeys(providers.candidates(p)[0] for p in args.provider))
    else:
        chosen = [p for p in providers.available() if _can(args.model, p)]
    reports = bench.measure(
        args.model,
        chosen,
        batches=args.batch or bench.BATCHES,
        rounds=args.rounds,
        seconds=args.seconds,
        threads=args.threads or 0,
    )
    processes = len(chosen) * len(bench.RUNNERS) * args.rounds
    with output.staged(args.chart) if args.chart else nullcontext() as file:
        rows = bench.summarise([*_progress(reports, processes, "process", count=lambda _: 1)])
        facts = {"model": name, **bench.machine(), "rows": rows}
        print(json.dumps(facts, indent=2) if args.json else bench.table(rows))
        if file:
            _draw(file, facts)
    return OK


def tune(args: argparse.Namespace) -> int:
    """Measures how many rows at a time are best here, and keeps it for whoever loads the bundle."""
    from edgevae import bundle
    from edgevae.diagnostics import tune
    from edgevae.engine import VARIANTS, machine, plans
    from edgevae.vae import VAE

    model = bundle.read(bundle.find(args.model))
    has = [name for name in ("float32", "int8") if VARIANTS[name] in model.variants]
    rows: list[Report] = []
    written: list[str] = []
    for precision in args.precision or has:
        vae = VAE(model, args.provider, args.threads, precision=precision)
        found = {}
        for each in tune.measure(vae, seconds=args.seconds):
            found[each.role] = each.tuned
            rows.append({"precision": precision, **each._asdict(), "tuned": each.tuned._asdict()})
            if not args.json:
                print(tune.table(precision, each), flush=True)
        if not args.dry_run:
            setting = plans.Setting(vae.provider, precision, vae.threads)
            written.append(str(plans.write_tuned(model, setting, found)))
    if args.json:
        facts = {"provider": vae.provider, "threads": vae.threads, "cpu": machine.cpu_name()}
        print(
            json.dumps({"model": model.name, **facts, "graphs": rows, "files": written}, indent=2)
        )
    for path in written:
        print(f"edgevae: wrote {path}; `edgevae info` shows what is in force", file=sys.stderr)
    return OK


def compile(args: argparse.Namespace) -> int:
    """Makes a bundle of ONNX graphs."""
    if (args.folder is None) == (args.decoder is None) or (args.folder and args.encoder):
        raise UsageError("expected FOLDER, or --decoder and maybe --encoder")
    if args.folder is None and (args.size or args.scaling_factor):
        raise UsageError("--size and --scaling-factor are for FOLDER")
    try:
        from edgevae import compiler
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from error
    given = compiler.Sources(args.decoder, args.encoder)
    if args.folder:
        given = compiler.read_folder(
            args.folder, size=args.size, scaling_factor=args.scaling_factor
        )
    compiled = compiler.compile(
        given.decoder,
        given.encoder,
        out=args.out,
        name=args.name,
        kind=args.kind,
        x_range=tuple(args.range) if args.range else given.x_range,
        model="autoencoder" if args.autoencoder else given.model,
        prior=args.prior,
        likelihood=_likelihood(args),
        noise=args.noise,
        licence=args.licence,
        provenance=given.provenance,
        decoder_output=args.x_hat,
        encoder_outputs=args.outputs,
        measure=not args.no_measure,
        int8=args.int8,
        calibration=_calibration(args),
        force=args.force,
        classes=args.classes,
    )
    notes = [*given.notes, *compiled.notes]
    for note in notes:
        print(f"edgevae: {note}", file=sys.stderr)
    rows = {role: [row._asdict() for row in table] for role, table in compiled.passes.items()}
    if args.json:
        print(json.dumps({"out": args.out, "notes": notes, "passes": rows}, indent=2))
    else:
        print(compiler.table(compiled.passes))
        _report(args, args.out, {"model": compiled.bundle.name})
    return OK


def _calibration(args: argparse.Namespace) -> "Floats | None":
    if args.calibration is None:
        return None
    if not args.int8:
        raise UsageError("--calibration is for --int8")
    import numpy as np

    x: Floats = np.load(args.calibration, allow_pickle=False)
    if x.dtype != np.float32 or len(x) < 2:
        raise InputError(
            f"{args.calibration}: expected float32 (N, *x_shape), N from 2, got {x.dtype} {x.shape}"
        )
    return x


def _likelihood(args: argparse.Namespace) -> dict[str, str | float] | None:
    if args.likelihood == "bernoulli":
        if args.sigma is not None:
            raise UsageError("--sigma is a gaussian's; a bernoulli likelihood has none")
        return {"name": "bernoulli"}
    if args.sigma is None and args.likelihood is None:
        return None
    return {"name": "gaussian", "sigma": 1.0 if args.sigma is None else args.sigma}


# --- what commands share ---------------------------------------------------------------------


def _load(args: argparse.Namespace) -> "VAE":
    from edgevae.vae import load

    return load(args.model, provider=args.provider, threads=args.threads, precision=args.precision)


def _labels(args: argparse.Namespace) -> "list[Label] | Label | None":
    """The classes asked for: a number where the text is one, else a name."""
    if args.labels is None:
        return None
    labels: list[Label] = [int(text) if text.isdecimal() else text for text in args.labels]
    return labels[0] if len(labels) == 1 else labels


def _tell(note: str) -> None:
    print(f"edgevae: {note}", file=sys.stderr)


def _seed(args: argparse.Namespace) -> int:
    """The seed asked for, or a fresh one, told before any work: what it makes can be remade."""
    if args.seed is not None:
        return int(args.seed)
    from edgevae.sampling import fresh_seed

    seed = fresh_seed()
    print(f"edgevae: seed {seed} (--seed {seed} makes the same again)", file=sys.stderr)
    return seed


def _form_named(out: str, stream: str) -> str:
    from edgevae.files import outputs as output

    try:
        return output.form_of(out, stream)
    except ValueError as error:
        raise UsageError(f"--out: {error}") from error


def _named(stem: str, picture: str, bundle: "Bundle") -> str:
    """Where what a bundle makes goes without --out; text goes to standard output."""
    return {"image": stem + picture, "text": "-"}.get(bundle.kind, f"{stem}.npy")


def _form(out: str, bundle: "Bundle", stream: str = "npy") -> str:
    form = _form_named(out, "text" if bundle.text else stream)
    if (form == "text") != bool(bundle.text):
        can = "lines: write .txt or -" if bundle.text else "no lines of text: name another form"
        raise UsageError(f"--out {out}: bundle {bundle.name!r} makes {can}")
    if bundle.text:
        return form
    if bundle.kind != "image" and form not in ARRAYS:
        raise UsageError(
            f"--out {out}: bundle {bundle.name!r} makes {bundle.kind}s, which cannot be drawn; "
            f"write .npy or .npz"
        )
    return form


def _map(args: argparse.Namespace, vae: "VAE", run: "Callable[[Floats], Floats]", stem: str) -> int:
    """Runs every batch of the inputs and writes the results in the inputs' own form."""
    import numpy as np

    from edgevae.files import inputs
    from edgevae.files import outputs as output

    given = inputs.read(args.inputs, vae.bundle, notify=_tell)
    out = args.out or _beside(args.inputs, given, stem)
    form = _form(out, vae.bundle, stream="sheet" if given.form == "image" else "npy")
    if args.compare and form != "sheet":
        raise UsageError(f"--compare draws a sheet: --out needs a name in .png, got {out!r}")
    rows, columns = given.rows, None
    if args.compare:
        _, height, width = vae.bundle.x_shape
        rows, columns = 2 * rows, 2 * output.near_square(rows, height, 2 * width)

    def batches() -> "Iterator[Floats]":
        for x in given.batches:
            x_hat = run(x)
            pairs = np.stack([x, x_hat], axis=1) if args.compare else x_hat
            yield pairs.reshape(-1, *vae.bundle.x_shape)

    output.save(
        out,
        form,
        _progress(batches(), rows),
        rows,
        vae.bundle,
        dtype=given.dtype,
        names=output.index_names(0, rows) if given.form == "array" else map(str, given.ids),
        columns=columns,
    )
    _report(args, out, {"rows": given.rows, "provider": vae.provider})
    return OK


def _beside(paths: Sequence[str], given: "Inputs", stem: str) -> str:
    """Where results go without --out: in the form of the inputs, to the current folder."""
    if list(paths) == ["-"]:
        return "-"
    return {
        "text": "-",
        "image": f"{stem}.png",
        "images": f"{stem}/",
        "array": f"{stem}.npy",
        "table": f"{stem}.npy",
    }[given.form]


def _one(given: "Inputs", path: str) -> "Floats":
    if given.rows != 1:
        raise InputError(f"{path}: expected one item, got {given.rows}; give an image of its own")
    return next(given.batches)


def _progress(
    batches: Iterable[Any], total: int, unit: str = "row", count: Callable[[Any], int] = len
) -> Iterator[Any]:
    """The same batches, counted by a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield from batches
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=total, unit=unit, unit_scale=total > 9999, leave=False) as bar:
        for batch in batches:
            yield batch
            bar.update(count(batch))


def _report(args: argparse.Namespace, out: str, facts: Report) -> None:
    where = "standard output" if out == "-" else out
    if args.json:
        stream = sys.stderr if out == "-" else sys.stdout
        print(json.dumps({"out": out, **facts}), file=stream)
        return
    shown = {key: " ".join(v) if key == "inputs" else v for key, v in facts.items()}
    told = ", ".join(f"{key} {value}" for key, value in shown.items() if value not in ("", None))
    print(f"edgevae: wrote {where}: {told}", file=sys.stderr)


def _uint64(value: int) -> Any:
    import numpy as np

    return np.uint64(value)


def _bundle_facts(bundle: "Bundle") -> Report:
    priors = {
        "mixture": f"mixture of {bundle.components}",
        "normal": "standard normal",
        "none": "none: it encodes and decodes, and cannot generate",
    }
    return {
        "name": bundle.name,
        "path": str(bundle.path),
        "kind": bundle.kind,
        "x_shape": list(bundle.x_shape),
        "x_range": bundle.x_range and list(bundle.x_range),
        "latent_shape": list(bundle.latent_shape),
        "model": bundle.model,
        "prior": priors[bundle.prior],
        **({"classes": list(bundle.classes)} if bundle.classes else {}),
        **({"prior_by_class": True} if bundle.by_class else {}),
        **({"tiles": bundle.tiles._asdict()} if bundle.tiles else {}),
        "likelihood": dict(bundle.likelihood),
        "noise": bundle.noise,
        **({"features": bundle.features.as_json()} if bundle.features else {}),
        **({"stride": bundle.stride} if bundle.stride else {}),
        **({"calibration": dict(bundle.calibration)} if bundle.calibration else {}),
        "stream": bundle.stream,
        "opset": bundle.opset,
        "variants": {key: sorted(roles) for key, roles in bundle.variants.items()},
        "quality": {key: dict(figures) for key, figures in bundle.quality.items()},
        "tolerance": bundle.tolerance,
        "licence": bundle.licence,
        "provenance": dict(bundle.provenance),
        "files": {
            name: {"bytes": file.bytes, "sha256": file.sha256}
            for name, file in bundle.files.items()
        },
    }


def _plan_facts(bundle: "Bundle") -> Report:
    """The plans on this machine's CPU."""
    from edgevae.engine import machine, plans

    setting = plans.Setting("cpu", "float32", machine.usable_threads())
    return {role: plans.choose(bundle, role, setting)._asdict() for role in bundle.roles}


def _as_text(facts: Report, indent: str = "") -> str:
    lines = []
    for key, value in facts.items():
        label = f"{indent}{key.replace('_', ' ')}"
        if isinstance(value, dict) and "sha256" in value:
            lines.append(f"{label:<20} {value['bytes']:>9,} bytes  sha256 {value['sha256'][:16]}")
        elif isinstance(value, dict):
            lines += [label, _as_text(value, indent + "  ")]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"{label:<20} {shown}")
    return "\n".join(lines)


def _can(model: str, provider: str) -> bool:
    """Whether a provider that nobody named can be had; says so where it cannot."""
    from edgevae.diagnostics import bench

    reason = bench.refusal(model, provider)
    if reason:
        print(f"edgevae: {provider} is left out: {reason}", file=sys.stderr)
    return reason is None


def _draw(file: IO[bytes], facts: Report) -> None:
    from edgevae.plots import bench_chart as chart

    rows = facts["rows"]
    subtitle = (
        f"{facts['cpu']} · {facts['threads']} threads · onnxruntime {facts['onnxruntime']} · "
        f"{rows[0]['processes']} processes each · sess.run: plain onnxruntime, same graph"
    )
    image = chart.draw(rows, title=f"edgevae bench: {facts['model']}", subtitle=subtitle)
    image.save(file, "PNG")
