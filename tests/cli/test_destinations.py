"""Results go where the name of the output says, in a form that suits the bundle."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevae import bundle, cli, vae
from edgevae.cli import destinations
from edgevae.cli.options import UsageError


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_are_written_as_tables_that_every_verb_takes_back(
    tiny_paths, tmp_path, monkeypatch, suffix
):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    model = ["--model", str(tiny_paths["vector"])]
    run = ["generate", "4", "--seed", "1", "--start", "9", *model]
    for out in (f"x{suffix}", "x.npy"):
        assert cli.main([*run, "--out", out]) == 0
    assert cli.main(["encode", f"x{suffix}", *model, "--out", f"z{suffix}"]) == 0
    assert cli.main(["decode", f"z{suffix}", *model, "--out", "decoded.npy"]) == 0
    expected = vae.load(model[1]).reconstruct(np.load("x.npy"))
    np.testing.assert_array_equal(np.load("decoded.npy"), expected)
    if suffix == ".csv":
        ids = [line.split(",")[0] for line in Path("z.csv").read_text().splitlines()]
        assert ids == ["id", "9", "10", "11", "12"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.png"], "returns vectors, which cannot be drawn; write .npy or .npz"),
        (["--dtype", "uint8"], "--dtype uint8 is for images"),
    ],
)
def test_vectors_cannot_be_drawn(tiny_paths, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["generate", "--model", str(tiny_paths["vector"]), *options])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("paths", "form", "out"),
    [
        (["-"], "array", "-"),
        (["a.png"], "image", "made.png"),
        (["a/"], "images", "made/"),
        (["a.npy"], "array", "made.npy"),
        (["a.csv"], "table", "made.csv"),
        (["word"], "text", "-"),
    ],
)
def test_the_default_output_takes_the_form_of_the_inputs(paths, form, out):
    assert destinations.out_like_inputs(paths, SimpleNamespace(form=form), "made") == out


@pytest.mark.parametrize(
    ("model", "out", "more", "form"),
    [
        ("grey", "a.png", {"scale": 3}, "sheet"),
        ("vector", "a.csv", {}, "table"),
        ("vector", "-", {"stream": "npz"}, "npz"),
    ],
)
def test_a_name_gives_a_form(tiny_paths, model, out, more, form):
    assert destinations.form_of(out, bundle.read(tiny_paths[model]), **more) == form


@pytest.mark.parametrize(
    ("model", "out", "more", "says"),
    [
        ("grey", "a.txt", {}, "returns images, not lines of text"),
        ("grey", "a.npy", {"scale": 3}, "--scale is for pictures"),
        ("grey", "a.tiff", {}, "--out: expected a name that ends in"),
        ("vector", "a.gif", {}, "returns vectors, which cannot be drawn"),
        ("names", "a.npy", {}, "returns lines: write .txt or -"),
    ],
)
def test_a_form_that_does_not_suit_the_bundle_is_refused(tiny_paths, model, out, more, says):
    described = bundle.read(tiny_paths.get(model) or bundle.find(model))
    with pytest.raises(UsageError, match=says):
        destinations.form_of(out, described, **more)
