"""Help, wrong usage and exit codes of the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT
from PIL import Image

from edgevae import cli, vae
from edgevae.cli.verbs import VERBS


@pytest.mark.parametrize("command", [verb.name for verb in VERBS])
def test_help_has_an_example_and_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert f"example: edgevae {command}" in text
    assert "6 check failed" in text
    assert "--json" in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from edgevae.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'onnxruntime', 'PIL', 'tqdm', 'onnx', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["generate", "-1"], "at least 0, got '-1'"),
        (["generate", "--threads", "100000"], "from 1 to 512, got '100000'"),
        (["generate", "many"], "at least 0, got 'many'"),
        (["generate", "--seed", str(2**64)], "from 0 to 18446744073709551615"),
        (["generate", "--temperature", "nan"], "number from 0, got 'nan'"),
        (["generate", "--out", "x.tiff"], r"--out: expected a name that ends in .png"),
        (["generate", "--out", "x.png", "--dtype", "float32"], "pictures are uint8"),
        (["generate", "--out", "x.npy", "--scale", "2"], "--scale is for pictures"),
        (["score", "a.png", "--threshold", "nan"], "expected a finite number, got 'nan'"),
        (["interpolate", "--steps", "1"], "at least 2, got '1'"),
        (["interpolate", "a.png"], "two inputs, or none"),
        (["interpolate", "a.png", "b.png", "--seed", "1"], "two inputs, or none"),
        (["encode", "a.png", "--out", "x.npy"], ".npz"),
        (["bench", "--seconds", "-1"], "number from 0, got '-1'"),
        (["bench", "--chart", "a.jpg"], "--chart: expected a name that ends in .png"),
    ],
)
def test_wrong_usage_is_2(arguments, message, grey, capsys):
    if arguments:
        arguments = [*arguments, "--model", grey]
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    assert message in capsys.readouterr().err
    assert not os.listdir()


def test_a_bundle_that_only_decodes(tinies, files, tmp_path, capsys):
    path = str(tinies["grey"].write(tmp_path / "b", encoder=None).path)
    assert cli.main(["verify", path, "--json"]) == 0
    (graph,) = json.loads(capsys.readouterr().out)["graphs"]
    assert graph["differences"].keys() == {"x_hat"}
    assert cli.main(["info", path]) == 0
    for verb in ("encode", "reconstruct", "denoise"):
        assert cli.main([verb, files[0], "--model", path]) == 4
        assert "has no encoder: it only decodes" in capsys.readouterr().err


def test_a_missing_bundle_is_3(capsys):
    assert cli.main(["generate", "--model", "nowhere"]) == 3
    assert "nowhere" in capsys.readouterr().err


def test_an_altered_bundle_is_3(grey, tmp_path, capsys):
    shutil.copytree(grey, tmp_path / "altered")
    with open(tmp_path / "altered" / "decoder.onnx", "r+b") as file:
        file.seek(100)
        file.write(b"\0\1\2\3")
    for command in (["verify"], ["info"], ["generate", "1", "--model"], ["bench", "--model"]):
        assert cli.main([*command, str(tmp_path / "altered")]) == 3
        assert "decoder.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reconstruct", "missing.png"], "missing.png: expected a file that can be read"),
        (["reconstruct", "missing.npy"], "missing.npy: expected a file that can be read"),
        (["reconstruct", "text.png"], "text.png"),
        (["reconstruct", "text.npy"], "text.npy: expected a .npy or .npz of numbers, got another"),
        (["reconstruct", "text.npz"], "text.npz"),
        (["reconstruct", "objects.npy"], "objects.npy"),
        (["reconstruct", "empty"], "empty: expected a folder of images"),
        (["encode", "nan.npy"], "NaN"),
        (
            ["encode", "nan-at-300.npy"],
            "nan-at-300.npy, from row 256 on: x: expected finite numbers",
        ),
        (["encode", "flat.npy"], "got (2, 8, 8)"),
        (["encode", "wide.npy"], "wide.npy: x: expected"),
        (["encode", "large.png"], "large.png"),
        (["encode", "two.npz"], "an array named x"),
        (["interpolate", "images", "small.png"], "images: expected one item, got 5"),
        (["generate", "--out", "missing/a.png"], "cannot write missing/a.png"),
        (["bench", "--chart", "missing/a.png"], "cannot write missing/a.png"),
    ],
)
def test_bad_input_and_output_are_4(arguments, message, grey, files, capsys):
    for name in ("text.png", "text.npy", "text.npz"):
        Path(name).write_text("no data")
    os.mkdir("empty")
    np.save("objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.save("nan.npy", np.full((2, 1, 8, 8), np.nan, np.float32))
    np.save("nan-at-300.npy", np.repeat(np.float32([0, np.nan]), 300 * 64).reshape(600, 1, 8, 8))
    np.save("flat.npy", np.zeros((2, 8, 8), np.float32))
    np.save("wide.npy", np.zeros((2, 1, 8, 9), np.float32))
    np.savez("two.npz", a=np.zeros(3), b=np.zeros(3))
    Image.new("L", (80, 80)).save("large.png")
    Image.new("L", (8, 8)).save("small.png")
    assert cli.main([*arguments, "--model", grey]) == 4
    assert message in capsys.readouterr().err
    left = {name for name in os.listdir() if name.startswith((".", "recon", "lat", "walk", "sam"))}
    assert not left


@pytest.mark.parametrize("bad", ["text", "small"])
def test_a_bad_image_among_many_costs_no_work(grey, files, capsys, monkeypatch, bad):
    """The bad image is the last one, in the third batch."""
    for i in range(600):
        os.link(files[0], f"images/{i}.png")
    if bad == "text":
        Path("images/z.png").write_text("no image")
    else:
        Image.new("L", (7, 7)).save("images/z.png")
    monkeypatch.setattr("edgevae.vae.VAE.reconstruct", lambda *_: pytest.fail("work was done"))
    assert cli.main(["reconstruct", "images", "--model", grey, "--out", "x.npy"]) == 4
    assert "z.png: " in capsys.readouterr().err


def test_more_than_the_disk_holds_is_refused_before_work(grey, capsys):
    for out in ("x.npy", "x.npz"):
        assert cli.main(["generate", str(10**14), "--model", grey, "--out", out]) == 4
        assert "rows take 2.56e+07 GB" in capsys.readouterr().err
    assert not os.listdir()


@pytest.mark.parametrize("command", ["generate", "bench"])
def test_an_unavailable_provider_is_5(grey, command, capsys):
    assert cli.main([command, "--model", grey, "--provider", "openvino"]) == 5
    assert "'openvino' was asked for" in capsys.readouterr().err
    assert not os.listdir()


def test_an_interrupt_is_130_and_leaves_nothing(grey, monkeypatch, capsys):
    def interrupted(*_, **__):
        yield np.zeros((1, 1, 8, 8), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(vae.VAE, "stream", interrupted)
    assert cli.main(["generate", "9", "--model", grey, "--seed", "1"]) == 130
    assert capsys.readouterr().err == "edgevae: interrupted\n"
    assert not os.listdir()
