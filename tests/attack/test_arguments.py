"""Hostile arguments of every public call give a result, or an error of edgevae's own.

Every argument gets every hostile value alone, and hypothesis draws pairs of them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from attacks import CASES
from hostile_values import SINGLE, shaped, time_limit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import TINIES, Tiny

import edgevae
from edgevae import tiling
from edgevae.data import Text, class_numbers
from edgevae.errors import EdgeVAEError
from edgevae.latents import Posterior, read_latents
from edgevae.scoring import Scorer
from edgevae.vae import VAE, load

TEXT = Text("abc", 4)
MODELS = {
    **TINIES,
    "signal": Tiny("signal", (2, 4), None, (3,)),
    "text": Tiny("text", (4, 4), (0.0, 1.0), (2,)),
}


class Call(NamedTuple):
    """A public call with arguments that it takes."""

    run: Callable[..., Any]
    arguments: dict[str, Any]


LOADED = {
    "provider": "cpu",
    "threads": 1,
    "providers": None,
    "precision": "float32",
    "chunk": 1,
    "max_memory": "64MB",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, VAE]:
    """A VAE of each kind of data; that of vectors is calibrated."""
    folder = tmp_path_factory.mktemp("attacked")
    written = {
        name: tiny.write(folder / name, **({"text": TEXT} if name == "text" else {})).path
        for name, tiny in MODELS.items()
    }
    opened = {name: load(path, threads=2) for name, path in written.items()}
    normals = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)
    return {**opened, "vector": opened["vector"].calibrate(normals, 0.05)}


def items(vae: VAE) -> Any:
    """Return two items that a bundle takes."""
    return (
        ["ab", "c"] if vae.bundle.data.is_text else np.zeros((2, *vae.bundle.x_shape), np.float32)
    )


def calls(vae: VAE, folder: Path, stack: ExitStack) -> dict[str, Call]:
    """Return the public calls of a VAE; `stack` closes what they need."""
    batcher = stack.enter_context(edgevae.Batcher(vae, max_delay=0))
    x, one = items(vae), items(vae)[0]
    z = np.zeros((2, *vae.bundle.latent_shape), np.float32)
    labels = {"labels": [0, 1]} if vae.bundle.classes else {"labels": None}
    label = {"labels": 0} if vae.bundle.classes else {"labels": None}
    draw = {"seed": 1, "start": 0, "temperature": 1.0}
    rows = {"seed": 0, "start": 0, "draws": 2}
    return {
        "sample": Call(vae.sample, {"n": 2, **draw, **labels}),
        "generate": Call(vae.generate, {"n": 2, **draw, **labels, "out": None, "dtype": "float32"}),
        "stream": Call(
            lambda **k: list(islice(vae.stream(**k), 2)),
            {"n": 2, **draw, **labels, "dtype": "float32", "batch": 1},
        ),
        "encode": Call(vae.encode, {"x": x}),
        "activations": Call(vae.activations, {"x": x}),
        "decode": Call(vae.decode, {"z": z, **labels, "tile": False, "overlap": None, "out": None}),
        "tiled": Call(tiling.decode, {"runner": vae.runner, "z": z, **labels, "overlap": None}),
        "reconstruct": Call(vae.reconstruct, {"x": x, **labels}),
        "denoise": Call(vae.denoise, {"x": x, "sigma": None, **labels}),
        "vary": Call(vae.vary, {"x": x, "n": 2, "strength": 1.0, "seed": 1, "start": 0, **labels}),
        "interpolate": Call(
            vae.interpolate, {"a": one, "b": one, "steps": 3, "spherical": True, **label}
        ),
        "traverse": Call(vae.traverse, {"z": z[0], "dim": 0, "steps": 3, "span": 1.0, **label}),
        "score": Call(vae.score, {"x": x, "method": "recon", "alpha": None, **rows, "fdr": False}),
        "calibrate": Call(
            vae.calibrate, {"x_normal": x, "alpha": 0.5, "methods": ["recon"], "draws": 2}
        ),
        "save": Call(vae.save, {"path": folder / "saved"}),
        "graph": Call(vae.graph, {"role": "decoder"}),
        "plan": Call(vae.plan, {"role": "decoder"}),
        "load": Call(load, LOADED | {"name_or_path": vae.bundle.path}),
        "module generate": Call(
            edgevae.generate,
            {"n": 1, "model": vae.bundle.path, "precision": "float32", **draw, "dtype": "float32"},
        ),
        "posterior": Call(
            Posterior(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)).sample,
            {"draws": 2, "seed": 1, "start": 0},
        ),
        "scorer": Call(
            Scorer(vae.runner).score,
            {
                "x": np.zeros((2, *vae.bundle.x_shape), np.float32),
                "method": "recon",
                **rows,
            },
        ),
        "batcher": Call(
            lambda **k: edgevae.Batcher(vae, **k).close(), {"max_batch": 2, "max_delay": 0.0}
        ),
        "batcher's decode": Call(batcher.decode, {"z": z[0], **label}),
        "batcher's adecode": Call(
            lambda **k: asyncio.run(batcher.adecode(**k)), {"z": z[0], **label}
        ),
        "batcher's encode": Call(batcher.encode, {"x": one}),
        "read_latents": Call(lambda z: read_latents(z, vae.bundle.latent_shape), {"z": z}),
        "class_numbers": Call(lambda labels: class_numbers(labels, vae.bundle.classes, 2), labels),
    }


def hostile(call: Call, vae: VAE) -> dict[str, dict[str, Callable[[], object]]]:
    """Return the hostile values of each argument of a call."""
    values = {}
    for name in call.arguments:
        if name == "runner" or (call.run.__qualname__ == "Scorer.score" and name == "x"):
            continue  # which callers inside the package have checked
        shapes: list[tuple[int, ...]] = []
        if name in ("x", "x_normal", "a", "b", "out"):
            shapes = [(2, *vae.bundle.x_shape), vae.bundle.x_shape]
        elif name == "z":
            shapes = [(2, *vae.bundle.latent_shape), vae.bundle.latent_shape]
        fitting = {f"{key} {shape}": v for shape in shapes for key, v in shaped(shape).items()}
        values[name] = {**SINGLE, **fitting}
    return values


@pytest.fixture(scope="module")
def attacked(models, tmp_path_factory) -> Iterator[dict[str, dict[str, Call]]]:
    """The public calls of each model, with a current folder that may be written to."""
    folder = tmp_path_factory.mktemp("folder")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield {name: calls(vae, folder, stack) for name, vae in models.items()}


def attack(name: str, call: Call, changes: dict[str, object]) -> None:
    """Call with changed arguments; fail on any exception but those of edgevae."""
    with time_limit(name):
        try:
            call.run(**{**call.arguments, **changes})
        except EdgeVAEError as error:
            if not str(error):
                raise


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers near the ends of float32
def test_each_argument_alone(models, attacked, model):
    failed = []
    for name, call in attacked[model].items():
        for argument, values in hostile(call, models[model]).items():
            for what, make in values.items():
                try:
                    attack(name, call, {argument: make()})
                except Exception as error:
                    failed.append(
                        f"{name}({argument}={what}): {type(error).__name__}: {error!s:.90}"
                    )
    assert not failed, f"{len(failed)} cases:\n" + "\n".join(failed)


@given(data=st.data())
@settings(max_examples=1500 * CASES, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_several_arguments_at_once(models, attacked, data):
    model = data.draw(st.sampled_from(sorted(MODELS)))
    name = data.draw(st.sampled_from(sorted(attacked[model])))
    call = attacked[model][name]
    values = hostile(call, models[model])
    changed = data.draw(st.lists(st.sampled_from(sorted(values)), unique=True, max_size=3))
    chosen = {each: data.draw(st.sampled_from(sorted(values[each]))) for each in changed}
    attack(name, call, {each: values[each][what]() for each, what in chosen.items()})
