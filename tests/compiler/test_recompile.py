"""A bundle is compiled again, and what it holds beside its graphs is kept."""

import json
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae import bundle, cli, compiler
from edgevae.diagnostics import verify as selfcheck
from edgevae.errors import InputError

SAMPLES = Path(__file__).parents[1] / "bundle"
# In `targets` the graph for this machine stands for one that computes something else.
NAMES = sorted({path.name for path in (SAMPLES / "schema2").iterdir()} - {"targets"})


def exact(path, copy):
    """Return a copy of a bundle whose self-check is what its graphs compute.

    That of the samples is rounded to multiples of 2^-10.
    """
    vae = edgevae.load(path, "cpu")
    check = vae.bundle.selfcheck()
    check["x_hat"] = vae.decode(check["z"], labels=check.get("y"))
    if vae.bundle.encodes:
        posterior = vae.encode(check["x"])
        check |= {"mu": posterior.mu, "logvar": posterior.logvar}
    if "h" in check:
        check["h"] = vae.activations(check["x"])
    return bundle.extend(vae.bundle, copy, arrays={"selfcheck.npz": check}).path


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_a_graph_is_kept(name, tmp_path):
    source = bundle.read(exact(SAMPLES / "schema2" / name, tmp_path / "source"))
    again = compiler.recompile(
        source.path, out=tmp_path / "b", options=compiler.Options(measure=False)
    ).bundle
    before, after = (
        json.loads((each.path / "manifest.json").read_bytes()) for each in (source, again)
    )
    for manifest in (before, after):
        for key in ("graphs", "quality", "files", "opset"):
            manifest.pop(key, None)
    assert after == before
    assert again.roles == source.roles
    assert again.precisions == ("float32",)
    for name in source.files:
        if name.endswith(".npz"):
            assert (again.path / name).read_bytes() == (source.path / name).read_bytes()
    assert selfcheck.verify(edgevae.load(again.path, "cpu")).failed == []


def test_graphs_of_schema_1_become_those_for_any(tmp_path):
    copy = exact(SAMPLES / "schema1" / "colour", tmp_path / "source")
    manifest = json.loads((SAMPLES / "schema1" / "colour" / "manifest.json").read_bytes())
    manifest["files"] = json.loads((copy / "manifest.json").read_bytes())["files"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    compiled = compiler.recompile(
        copy, out=copy, replace=True, options=compiler.Options(measure=False)
    )
    assert "a bundle of schema 1, whose graphs may have been rewritten" in compiled.notes[0]
    assert json.loads((copy / "manifest.json").read_bytes())["schema"] == 2


def test_the_verb_replaces_a_bundle_by_itself(tmp_path, capsys):
    folder = str(exact(SAMPLES / "schema2" / "image", tmp_path / "b"))
    command = ["compile", folder, "--out", folder, "--no-measure", "--for", "any"]
    with pytest.raises(SystemExit):
        cli.main([*command, "--name", "other", "--replace"])
    assert "--name is for ONNX graphs" in capsys.readouterr().err
    assert cli.main(command) != 0
    before = edgevae.load(folder).generate(3, seed=1)
    assert cli.main([*command, "--replace"]) == 0
    assert "int8 graphs are left out" in capsys.readouterr().err
    np.testing.assert_allclose(edgevae.load(folder).generate(3, seed=1), before, atol=1e-6)


def test_int8_is_made_again(tmp_path):
    folder = exact(SAMPLES / "schema2" / "image", tmp_path / "b")
    again = compiler.recompile(
        folder,
        out=folder,
        replace=True,
        options=compiler.Options(measure=False, int8=compiler.Int8(force=True)),
    ).bundle
    assert "int8" in again.precisions
    with pytest.raises(InputError, match="use --replace"):
        compiler.recompile(folder, out=folder)
