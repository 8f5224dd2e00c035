"""Each command does what its help says, says what it did, and ends with the code it promises."""

import dataclasses
import hashlib
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevae import cli, vae
from edgevae.data import Features
from edgevae.diagnostics import verify as selfcheck
from edgevae.engine import plans
from edgevae.packing import pack

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "generate", "encode", "reconstruct", "denoise", "interpolate", "info", "verify", "bench",
    "tune", "vary", "traverse", "map", "score", "calibrate",
)  # fmt: skip


@pytest.fixture
def grey(tiny_paths, tmp_path, monkeypatch) -> str:
    """A bundle of 8 x 8 images that denoises; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    return str(tiny_paths["grey"])


@pytest.fixture
def files(grey) -> list[str]:
    """Five images of the bundle grey in the folder images/, their names not in their order."""
    assert cli.main(["generate", "5", "--seed", "1", "--model", grey, "--out", "images/"]) == 0
    return sorted(map(str, Path("images").iterdir()))


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child process: this one's, without PYTHONUNBUFFERED."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return inherited | {"PYTHONPATH": str(ROOT)} | variables


def edgevae(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "edgevae", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | options
    return subprocess.run(command, check=False, **options)


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# --- help and usage --------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
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
        (["generate", "many"], "at least 0, got 'many'"),
        (["generate", "--seed", str(2**64)], "from 0 to 18446744073709551615"),
        (["generate", "--temperature", "nan"], "number from 0, got 'nan'"),
        (["generate", "--out", "x.tiff"], r"--out: expected a name that ends in .png"),
        (["generate", "--out", "x.png", "--dtype", "float32"], "pictures are uint8"),
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.png"], "makes vectors, which cannot be drawn; write .npy or .npz"),
        (["--dtype", "uint8"], "--dtype uint8 is for images"),
    ],
)
def test_vectors_cannot_be_drawn(tiny_paths, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["generate", "--model", str(tiny_paths["vector"]), *options])
    assert message in capsys.readouterr().err


# --- generate --------------------------------------------------------------------------------


def test_generate_writes_the_rows_of_the_library(grey, capsys):
    run = ["generate", "16", "--seed", "7", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--out", "a.png"]) == 0
    expected = pack(vae.load(grey).generate(16, seed=7))[..., 0]
    sheet = pixels("a.png").reshape(4, 8, 4, 8).swapaxes(1, 2).reshape(16, 8, 8)
    assert np.array_equal(sheet, expected)
    assert "wrote a.png: rows 16, seed 7" in capsys.readouterr().err


def test_generate_tells_the_seed_it_took_and_the_seed_makes_the_same(grey, capsys):
    assert cli.main(["generate", "3", "--model", grey]) == 0
    seed = capsys.readouterr().err.split("--seed ")[1].split(" ")[0]
    assert cli.main(["generate", "3", "--model", grey, "--seed", seed, "--out", "b.png"]) == 0
    assert np.array_equal(pixels("samples.png"), pixels("b.png"))
    assert cli.main(["generate", "3", "--model", grey, "--out", "c.png"]) == 0
    assert not np.array_equal(pixels("samples.png"), pixels("c.png"))


def test_the_picture_itself_says_how_to_make_it_again(grey):
    assert cli.main(["generate", "3", "--model", grey, "--start", "5"]) == 0
    with Image.open("samples.png") as image:
        again = image.text["edgevae"].replace("tiny-image", grey).split()
        first = np.asarray(image)
    assert cli.main([*again, "--out", "again.png"]) == 0
    assert np.array_equal(first, pixels("again.png"))


def test_start_continues_a_run(grey):
    for n, start, out in ((7, 0, "all.npy"), (3, 0, "a.npz"), (4, 3, "b.npz")):
        run = ["generate", str(n), "--start", str(start), "--seed", "7", "--out", out]
        assert cli.main([*run, "--model", grey]) == 0
    with np.load("a.npz") as a, np.load("b.npz") as b:
        np.testing.assert_allclose(
            np.concatenate([a["x_hat"], b["x_hat"]]), np.load("all.npy"), atol=1e-6
        )
        assert (b["seed"], b["start"]) == (7, 3)


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_arrays_are_float_as_trained(tiny_paths, name, tmp_path):
    model, out = str(tiny_paths[name]), str(tmp_path / "x.npy")
    assert cli.main(["generate", "9", "--seed", "3", "--model", model, "--out", out]) == 0
    expected = vae.load(model).generate(9, seed=3)
    np.testing.assert_allclose(np.load(out), expected, atol=1e-6)


def test_dtype_uint8_makes_images(tiny_paths, tmp_path):
    model, out = str(tiny_paths["colour"]), str(tmp_path / "x.npy")
    run = ["generate", "9", "--seed", "3", "--model", model, "--out", out, "--dtype", "uint8"]
    assert cli.main(run) == 0
    got, expected = np.load(out), vae.load(model).generate(9, seed=3, dtype="uint8")
    assert got.dtype == np.uint8
    assert got.shape == (9, 8, 6, 3)
    assert np.abs(got.astype(int) - expected).max() <= 1  # floats on two sides of one half


def test_json_reports_on_standard_output(grey, capsys):
    assert cli.main(["generate", "2", "--model", grey, "--json", "--out", "a.npy"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == "a.npy"
    assert 0 <= report["seed"] < 2**64
    assert report["provider"] == "cpu"


def test_generate_nothing_is_an_empty_array(grey):
    assert cli.main(["generate", "0", "--model", grey, "--out", "a.npy"]) == 0
    assert np.load("a.npy").shape == (0, 1, 8, 8)


# --- encode, reconstruct, denoise, interpolate -----------------------------------------------


def test_encode_writes_the_posterior_of_each_file(grey, files):
    assert cli.main(["encode", "images", "--model", grey]) == 0
    expected = vae.load(grey).encode(files)
    with np.load("latents.npz") as got:
        np.testing.assert_allclose(got["mu"], expected.mu, atol=1e-6)
        np.testing.assert_allclose(got["logvar"], expected.logvar, atol=1e-6)


@pytest.mark.parametrize("command", ["reconstruct", "denoise"])
def test_an_image_comes_back_as_an_image(grey, files, command):
    assert cli.main([command, files[2], "--model", grey]) == 0
    out = {"reconstruct": "reconstructed.png", "denoise": "denoised.png"}[command]
    assert np.array_equal(pixels(out), np.asarray(vae.load(grey).reconstruct(files[2])))


def test_a_folder_comes_back_as_a_folder_of_the_same_names(grey, files):
    assert cli.main(["reconstruct", "images", "--model", grey]) == 0
    expected = vae.load(grey).reconstruct(files)
    assert sorted(os.listdir("reconstructed")) == sorted(os.listdir("images"))
    for file, image in zip(files, expected, strict=True):
        assert np.array_equal(pixels(f"reconstructed/{Path(file).name}"), np.asarray(image))


def test_images_of_one_stem_keep_their_suffixes_apart(grey, files):
    os.mkdir("mixed")
    with Image.open(files[0]) as image:
        image.save("mixed/a.png")
        image.save("mixed/a.bmp")
    assert cli.main(["denoise", "mixed", "--model", grey]) == 0
    assert sorted(os.listdir("denoised")) == ["a.bmp.png", "a.png.png"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_an_array_comes_back_as_an_array_of_its_type(grey, dtype):
    run = ["generate", "5", "--seed", "2", "--model", grey, "--dtype", dtype, "--out", "x.npy"]
    assert cli.main(run) == 0
    assert cli.main(["reconstruct", "x.npy", "--model", grey]) == 0
    got, expected = np.load("reconstructed.npy"), vae.load(grey).reconstruct(np.load("x.npy"))
    assert (got.dtype, got.shape) == (np.dtype(dtype), expected.shape)
    np.testing.assert_allclose(got.astype(float), expected.astype(float), atol=1e-5)


def test_compare_draws_pairs(grey, files):
    run = ["reconstruct", "images", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--compare", "--out", "c.png"]) == 0
    sheet = pixels("c.png")
    tiles = sheet.reshape(sheet.shape[0] // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    x_hat = vae.load(grey).reconstruct(files)
    assert np.array_equal(tiles[0:10:2], [pixels(file) for file in files])
    assert np.array_equal(tiles[1:10:2], [np.asarray(image) for image in x_hat])


def test_interpolate_walks_from_one_to_the_other(grey, files):
    assert cli.main(["interpolate", *files[:2], "--steps", "6", "--model", grey]) == 0
    with Image.open("walk.gif") as gif:
        assert gif.n_frames == 6
    run = ["interpolate", *files[:2], "--steps", "300", "--model", grey, "--out", "walk.npy"]
    assert cli.main(run) == 0
    walk, model = np.load("walk.npy"), vae.load(grey)
    assert walk.shape == (300, 1, 8, 8)
    ends = model.decode(model.encode(files[:2]).mu)
    np.testing.assert_allclose(walk[[0, -1]], ends, atol=1e-6)
    assert np.abs(np.diff(walk, axis=0)).max() < 0.1


def test_interpolate_without_inputs_joins_two_samples(tiny_paths, tmp_path):
    model, out = str(tiny_paths["colour"]), tmp_path / "walk.png"
    run = ["interpolate", "--seed", "4", "--start", "9", "--steps", "5", "--model", model]
    run += ["--scale", "1"]
    assert cli.main([*run, "--out", str(out)]) == 0
    strip = pixels(out).reshape(8, 5, 6, 3).swapaxes(0, 1)
    expected = vae.load(model).generate(2, seed=4, start=9, dtype="uint8")
    assert np.array_equal(strip[[0, -1]], expected)


def test_interpolate_may_bounce_on_an_arc(grey, files):
    run = ["interpolate", *files[:2], "--steps", "4", "--model", grey, "--out", "walk.npy"]
    assert cli.main([*run, "--spherical", "--bounce"]) == 0
    walk, model = np.load("walk.npy"), vae.load(grey)
    np.testing.assert_array_equal(walk[4:], walk[2:0:-1])
    expected = model.interpolate(*files[:2], 4, spherical=True)
    assert np.array_equal(pack(walk[:4])[..., 0], [np.asarray(image) for image in expected])


def test_vary_makes_a_line_for_each_input(grey, files):
    run = ["vary", *files[:2], "-n", "3", "--strength", "1", "--seed", "8", "--model", grey]
    run += ["--scale", "1"]
    assert cli.main(run) == 0
    tiles = pixels("varied.png").reshape(2, 8, 3, 8).swapaxes(1, 2)
    expected = vae.load(grey).vary(files[:2], 3, 1, seed=8)
    assert np.array_equal(tiles, [[np.asarray(image) for image in row] for row in expected])
    assert cli.main([*run, "--out", "varied/"]) == 0
    assert len(os.listdir("varied")) == 6


def test_traverse_draws_dimensions_or_the_most_certain(grey, files, capsys):
    run = ["traverse", files[0], "--steps", "5", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--dim", "3", "--dim", "1"]) == 0
    tiles = pixels("traversed.png").reshape(2, 8, 5, 8).swapaxes(1, 2)
    expected = vae.load(grey).traverse(files[0], 3, 5)
    assert np.array_equal(tiles[0], [np.asarray(image) for image in expected])
    assert cli.main([*run, "--most", "2", "--json"]) == 0
    certain = np.argsort(vae.load(grey).encode(files[0]).logvar[0])[:2]
    assert json.loads(capsys.readouterr().out)["dims"] == " ".join(map(str, certain))
    with pytest.raises(SystemExit, match="2"):
        cli.main([*run, "--dim", "4"])
    assert "--dim: expected 0 to 3, got 4" in capsys.readouterr().err


def test_pictures_of_another_size_are_resized_on_request(grey, files, capsys):
    with Image.open(files[0]) as image:
        image.resize((16, 24)).save("large.png")
    verbs = (
        ["encode", "large.png"],
        ["reconstruct", "large.png"],
        ["denoise", "large.png"],
        ["vary", "large.png"],
        ["traverse", "large.png"],
        ["interpolate", "large.png", files[1]],
        ["score", "large.png", "--method", "recon"],
    )
    for verb in verbs:
        assert cli.main([*verb, "--model", grey]) == 4
        assert (
            "large.png: expected an image of 8 x 8 pixels, got 16 x 24" in capsys.readouterr().err
        )
        assert cli.main([*verb, "--model", grey, "--resize"]) == 0
    assert pixels("reconstructed.png").shape == (8, 8)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_every_verb_that_reads_takes_tables(tiny_paths, tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    table, model = f"x{suffix}", str(tiny_paths["vector"])
    rows = ["[0, 1, 2, 3, 4]", "[4, 3, 2, 1, 0]"]
    lines = rows if suffix == ".jsonl" else ["a,b,c,d,e", *(row[1:-1] for row in rows)]
    Path(table).write_text("\n".join(lines) + "\n")
    x = np.float32([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    assert cli.main(["encode", table, "--model", model]) == 0
    with np.load("latents.npz") as latents:
        np.testing.assert_allclose(latents["mu"], vae.load(model).encode(x).mu, atol=1e-6)
    assert cli.main(["reconstruct", table, "--model", model]) == 0
    expected = vae.load(model).reconstruct(x)
    got = np.loadtxt("reconstructed.csv", np.float32, delimiter=",", skiprows=1)
    np.testing.assert_allclose(got[:, 1:], expected, atol=1e-6)
    assert cli.main(["vary", table, "-n", "3", "--model", model]) == 0
    assert np.load("varied.npy").shape == (6, 5)


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


def test_a_sheet_is_enlarged_and_labelled_unless_a_scale_says_otherwise(grey, files):
    run = ["traverse", files[0], "--steps", "5", "--dim", "3", "--dim", "1", "--model", grey]
    for scale in ([], ["--scale", "1"], ["--scale", "4"]):
        assert cli.main([*run, *scale, "--out", "a.png"]) == 0
        height, width = pixels("a.png").shape
        if scale == ["--scale", "1"]:
            assert (height, width) == (16, 40)
        elif scale:
            assert height == 2 * 32 + 3 * 4
            assert width > 5 * 32 + 6 * 4  # a margin for the labels
        else:
            assert height > 400
    assert cli.main([*run, "--out", "a.webp"]) == 0
    with Image.open("a.webp") as image:
        assert image.format == "WEBP"


# --- info, verify ----------------------------------------------------------------------------


def test_info_says_what_runs_and_what_the_bundle_is(grey, capsys):
    assert cli.main(["info", grey, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kernel"] in facts["kernels"]
    assert facts["runs"]["decoder"]["provider"] == "cpu"
    assert set(facts["runs"]["encoder"]["nodes"]) == {"cpu"}
    assert "auto tries cuda" in facts["runs"]["decoder"]["why"]
    assert "cpu" in facts["providers"]
    assert facts["threads"] >= 1
    assert facts["bundle"]["x_shape"] == [1, 8, 8]
    assert facts["bundle"]["files"]["decoder.onnx"]["bytes"] > 0
    assert facts["plans_on_cpu"]["decoder"]["workers"] == facts["threads"]
    assert cli.main(["info", grey]) == 0
    text = capsys.readouterr().out
    assert facts["bundle"]["files"]["decoder.onnx"]["sha256"][:16] in text
    assert "mixture of 5" in text


def test_info_shows_the_plans_of_the_provider_in_use(grey, monkeypatch, capsys):
    monkeypatch.setattr(vae.VAE, "provider", "another")
    assert cli.main(["info", grey, "--threads", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["plans_on_cpu"]["decoder"]["workers"] == 3
    expected = plans.choose(
        vae.load(grey).bundle, "decoder", plans.Setting("another", "float32", 3)
    )
    assert facts["plans_on_another"]["decoder"] == expected._asdict()


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_verify_accepts_what_was_proved(tiny_paths, name, capsys):
    assert cli.main(["verify", str(tiny_paths[name]), "--provider", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] == {"mu": True, "logvar": True, "x_hat": True, "stream": True}
    assert report["tolerances"] == {"mu": 1e-4, "logvar": 1e-4, "x_hat": 1e-4}
    assert max(report["differences"].values()) <= 1e-4


def test_the_golden_latents_are_those_of_the_definition():
    """The stream in plain numpy, which shares no code with the kernels."""
    stream = runpy.run_path(str(ROOT / "tests" / "golden" / "make_golden.py"))["normal"]
    start = {"seed": 2**64 - 59, "start": 2**32 - 7}
    z = stream(257, 33, **start, first_dim=0, purpose=0, draw=0)
    assert hashlib.sha256(z.astype("<f4").tobytes()).hexdigest() == selfcheck.GOLDEN


def test_verify_refuses_other_answers_with_6(tinies, tmp_path, capsys):
    tiny = tinies["grey"]
    selfcheck = dict(tiny.arguments()["selfcheck"])
    selfcheck["logvar"] = selfcheck["logvar"] + np.float32(0.01)
    tiny.write(tmp_path / "off", selfcheck=selfcheck)
    assert cli.main(["verify", str(tmp_path / "off")]) == 6
    printed = capsys.readouterr()
    assert "logvar   max abs difference 1.00e-02, at most 1.0e-04: FAILED" in printed.out
    assert "logvar not as proved" in printed.err


def test_verify_allows_a_variant_the_difference_that_is_known(tinies, tmp_path, capsys):
    tiny = tinies["grey"]
    dim = dataclasses.replace(tiny, x_range=(0.0, 0.95)).decoder()
    for difference, code in ((0.03, 0), (0.01, 6)):
        path = str(tmp_path / str(code))
        quality = {"int8": {"decoder_check_difference": difference}}
        tiny.write(Path(path), variants={"int8": {"decoder": dim}}, quality=quality)
        assert cli.main(["verify", path, "--precision", "int8", "--json"]) == code
        report = json.loads(capsys.readouterr().out)
        assert report["precision"] == "int8"
        assert report["passed"]["x_hat"] is (code == 0)
        assert report["tolerances"]["x_hat"] == pytest.approx(1e-4 + 2 * difference)
        assert report["tolerances"]["mu"] == 1e-4
        assert cli.main(["verify", path]) == 0
        assert cli.main(["info", path]) == 0
        assert f"decoder check difference {difference}" in capsys.readouterr().out
    out = os.fspath(tmp_path / "two.npy")
    assert cli.main(["generate", "2", "--model", path, "--precision", "int8", "--out", out]) == 0


def test_tune_keeps_what_info_then_shows(grey, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plans, "_caches", lambda: tmp_path / "caches")
    command = ["tune", grey, "--provider", "cpu", "--seconds", "0"]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "decoder in float32" in capsys.readouterr().out
    assert not (tmp_path / "caches").exists()
    assert cli.main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [Path(path).is_file() for path in facts["files"]] == [True]
    assert [graph["role"] for graph in facts["graphs"]] == ["encoder", "decoder"]
    assert cli.main(["info", grey, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["plans_on_cpu"]
    for graph in facts["graphs"]:
        plan = shown[graph["role"]]
        assert plan["source"] == "edgevae tune"
        assert {key: plan[key] for key in ("chunk", "single_call_rows")} == graph["tuned"]
        assert str(plan["chunk"]) in graph["rates"]


def test_a_bundle_that_only_decodes(tinies, files, tmp_path, capsys):
    path = str(tinies["grey"].write(tmp_path / "b", encoder=None).path)
    assert cli.main(["verify", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"].keys() == {"x_hat"}
    assert cli.main(["info", path]) == 0
    for verb in ("encode", "reconstruct", "denoise"):
        assert cli.main([verb, files[0], "--model", path]) == 4
        assert "has no encoder: it only decodes" in capsys.readouterr().err


# --- exit codes ------------------------------------------------------------------------------


def test_a_bundle_that_is_not_there_is_3(capsys):
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
    """Though it comes last, in the third batch."""
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


WAYS_OUT = {
    "help": ["--help"],
    "help of a verb": ["score", "--help"],
    "version": ["--version"],
    "report": ["verify", "MODEL", "--json"],
    "rows": ["score", "x.npy", "--model", "MODEL", "--method", "recon"],
    "latents": ["encode", "x.npy", "--model", "MODEL", "--out", "-"],
    "array": ["generate", "2", "--model", "MODEL", "--out", "-"],
    "report of a file": ["generate", "2", "--model", "MODEL", "--json", "--out", "y.npy"],
}


@pytest.fixture(params=WAYS_OUT)
def writes_stdout(request, grey) -> list[str]:
    """The arguments of a command that writes to standard output."""
    np.save("x.npy", np.zeros((2, 1, 8, 8), np.float32))
    return [grey if argument == "MODEL" else argument for argument in WAYS_OUT[request.param]]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_4_and_says_where(writes_stdout, unbuffered):
    with open("/dev/full", "wb") as full:
        variables = environment(PYTHONUNBUFFERED=unbuffered)
        done = edgevae(*writes_stdout, stdout=full, env=variables)
    assert done.returncode == 4
    assert b"No space left on device" in done.stderr
    assert b"standard" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_standard_output_is_4(writes_stdout, unbuffered):
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "edgevae", *writes_stdout]
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(command, env=variables, stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert b"Bad file descriptor" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_a_closed_standard_output_is_no_error_for_a_command_that_does_not_write_to_it(grey):
    arguments = ["generate", "2", "--model", grey, "--out", "x.npy"]
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "edgevae", *arguments]
    assert subprocess.run(command, env=environment()).returncode == 0
    assert np.load("x.npy").shape == (2, 1, 8, 8)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_closed_standard_input_is_4_and_closed_standard_error_is_silent(grey):
    edgevae = ["sh", "-c", '"$@" <&- 2>&-', "sh", sys.executable, "-m", "edgevae"]
    for arguments, code in ((["encode", "-"], 4), (["generate", "1", "--out", "x.npy"], 0)):
        command = [*edgevae, *arguments, "--model", grey]
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (code, b"")


@pytest.mark.skipif(os.name == "nt", reason="needs SIGPIPE")
def test_a_reader_that_has_gone_is_141(writes_stdout):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        done = edgevae(*writes_stdout, stdout=pipe)
    assert done.returncode == 141
    assert b"Error" not in done.stderr


def test_denoise_wants_a_bundle_that_denoises(tiny_paths, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((1, 3, 8, 6), np.float32))
    assert cli.main(["denoise", "x.npy", "--model", str(tiny_paths["colour"])]) == 4
    assert "not trained to denoise" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["generate", "bench"])
def test_a_provider_that_cannot_be_had_is_5(grey, command, capsys):
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


# --- pipes and terminals ---------------------------------------------------------------------


def test_arrays_go_through_pipes(grey):
    made = edgevae("generate", "6", "--seed", "7", "--model", grey, "--out", "-")
    assert made.returncode == 0
    x = np.load(io.BytesIO(made.stdout))
    np.testing.assert_allclose(x, vae.load(grey).generate(6, seed=7), atol=1e-6)
    back = edgevae("reconstruct", "-", "--model", grey, "--json", input=made.stdout)
    assert np.load(io.BytesIO(back.stdout)).shape == x.shape
    assert json.loads(back.stderr)["rows"] == 6
    latents = edgevae("encode", "-", "--model", grey, input=made.stdout)
    with np.load(io.BytesIO(latents.stdout)) as posterior:
        assert posterior["mu"].shape == (6, 4)


def test_an_image_goes_through_pipes_as_an_image(grey, files):
    done = edgevae("denoise", "-", "--model", grey, input=Path(files[0]).read_bytes())
    assert done.returncode == 0
    expected = np.asarray(vae.load(grey).denoise(files[0]))
    assert np.array_equal(pixels(io.BytesIO(done.stdout)), expected)


@pytest.mark.parametrize("data", [b"", b"neither image nor array", b"PK broken", b"\x93NUMPY"])
def test_standard_input_that_is_nothing_is_4(grey, data):
    done = edgevae("encode", "-", "--model", grey, input=data)
    assert done.returncode == 4
    assert b"standard input: expected" in done.stderr


def test_a_reader_that_goes_away_is_met_with_silence(grey):
    command = [sys.executable, "-m", "edgevae", "generate", "100000", "--seed", "7"]
    process = subprocess.Popen(
        [*command, "--model", grey, "--out", "-"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.read(6) == b"\x93NUMPY"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 141


def test_ctrl_c_is_quiet(grey, tmp_path):
    command = [sys.executable, "-m", "edgevae", "generate", "1000000", "--seed", "7"]
    process = subprocess.Popen(
        [*command, "--model", grey, "--out", "x.gif"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".x.gif.*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with process.stderr:
        assert process.stderr.read() == "edgevae: interrupted\n"
    assert process.wait() == 130
    assert not os.listdir(tmp_path)


def test_an_interrupt_inside_an_exec_is_quiet_too(tmp_path):
    """As while a dataclass is imported: `python -m` would end by the signal, handled or not."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from edgevae import bundle, cli\n"
        "bundle.find.__code__ = (lambda name: exec('raise KeyboardInterrupt')).__code__\n"
        "sys.exit(cli.main(['info']))\n"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, env=environment(PYTHONPATH=paths)).returncode == 130


def test_no_bar_where_there_is_no_terminal(grey):
    done = edgevae("generate", "100", "--seed", "7", "--model", grey)
    assert done.stderr.count(b"\n") == 1
    assert b"\r" not in done.stderr


def test_a_terminal_sees_a_bar_and_never_binary_data(grey):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")  # not on Windows
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 100))
    command = [sys.executable, "-m", "edgevae", "generate", "100", "--seed", "7", "--model", grey]
    terminal = {"stdin": secondary, "stdout": secondary, "stderr": secondary}
    terminal["env"] = environment(TERM="xterm")
    assert subprocess.run([*command, "--out", "a.npy"], **terminal).returncode == 0
    assert "0/100 [" in os.read(primary, 65536).decode()
    assert subprocess.run([*command, "--out", "-"], **terminal).returncode == 4
    assert "refused to write binary data to a terminal" in os.read(primary, 65536).decode()
    os.close(primary)
    os.close(secondary)


# --- scores ----------------------------------------------------------------------------------


@pytest.fixture
def judge(tinies, tmp_path, monkeypatch) -> str:
    """A calibrated bundle of vectors with named features; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    names = Features(("a", "b", "c", "d", "e"), (0.0,) * 5, (1.0,) * 5)
    tinies["vector"].write(Path("model"), features=names)
    rng = np.random.default_rng(0)
    np.save("normals.npy", rng.standard_normal((400, 5)).astype(np.float32))
    command = ["calibrate", "model", "--data", "normals.npy", "--out", "judge", "--alpha", "0.05"]
    assert cli.main(command) == 0
    return "judge"


def feed_stdin(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_calibrate_says_what_it_used(judge, capsys):
    capsys.readouterr()
    command = ["calibrate", judge, "--data", "normals.npy", "--out", "again", "--method", "recon"]
    assert cli.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["normals"] == {"recon": 400}
    assert report["fitted_on"] == 0  # it had statistics
    assert cli.main(["calibrate", "model", "--data", "normals.npy", "--out", "c", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fitted_on"] == 200
    assert set(report["normals"].values()) == {200}
    assert cli.main([*command, "--alpha", "0.001"]) == 4
    assert "takes at least 999 held-out normal items" in capsys.readouterr().err


def test_score_flags_what_is_strange_and_says_so_by_its_code(judge, capsys):
    Path("x.csv").write_text("e,a,b,c,d,id\n0,0,0,0,0,calm\n0,0,0,99,0,wild\n")
    assert cli.main(["score", "x.csv", "--model", judge, "--out", "s.csv"]) == 10
    header, calm, wild = Path("s.csv").read_text().splitlines()
    assert header == "id,value,p_value,anomaly"
    assert (calm.split(",")[0], calm.split(",")[3]) == ("calm", "false")
    assert wild.split(",")[3] == "true"
    assert float(wild.split(",")[2]) == pytest.approx(1 / 201)
    assert cli.main(["score", "x.csv", "--model", judge, "--alpha", "0.001"]) == 4
    assert "takes at least 999 held-out normal items" in capsys.readouterr().err
    assert cli.main(["score", "x.csv", "--model", judge, "--method", "recon", "--json"]) == 10
    wild = json.loads(capsys.readouterr().out.splitlines()[1])
    nats = [feature["nats"] for feature in wild["top"]]
    assert len(nats) == 3
    assert nats == sorted(nats, reverse=True)
    assert {feature["feature"] for feature in wild["top"]} < set("abcde")
    assert wild["anomaly"] is True


def test_score_of_normals_ends_with_0(judge, capsys):
    Path("x.csv").write_text("a,b,c,d,e\n0,0,0,0,0\n")
    assert cli.main(["score", "x.csv", "--model", judge, "--out", "s.jsonl", "--json"]) == 0
    assert json.loads(Path("s.jsonl").read_text())["anomaly"] is False
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["rows"], report["flagged"]) == (1, 0)


def test_without_calibration_a_threshold_flags(judge, capsys):
    Path("x.csv").write_text("0,0,0,0,0\n0,0,0,99,0\n")
    command = ["score", "x.csv", "--model", "model", "--method", "recon"]
    assert cli.main(command) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.endswith(",,")
    value = second.split(",")[1]
    assert cli.main([*command, "--threshold", value]) == 10
    assert cli.main([*command, "--threshold", str(float(value) + 1)]) == 0
    assert cli.main([*command, "--alpha", "0.1"]) == 4
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--alpha", "0.1", "--threshold", "3"])
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--heatmaps", "maps/"])
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--out", "scores.png"])


def test_rows_on_standard_input_are_answered_until_a_bad_one(judge, capsys, monkeypatch):
    feed_stdin(monkeypatch, '{"x": [0, 0, 0, 0, 0], "id": "p"}\n[0, 0, 0, 0, 1]\n[0, 0]\n[1]\n')
    assert cli.main(["score", "-", "--model", judge, "--json"]) == 4
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["p", 1]
    assert "standard input, line 3: expected x of shape (5,), got [0, 0]" in err
    feed_stdin(monkeypatch, "a,b,c,d,e\n0,0,0,0,0\n0,0,0,0,0\n")
    assert cli.main(["score", "-", "--model", judge]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    feed_stdin(monkeypatch, "")
    assert cli.main(["score", "-", "--model", judge]) == 0


def test_an_answer_comes_before_the_next_row_is_given(judge):
    command = [sys.executable, "-m", "edgevae", "score", "-", "--model", judge, "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment(), text=True, bufsize=1, **pipes) as process:
        for i in range(3):
            process.stdin.write("[0, 0, 0, 0, 0]\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == i  # or the test hangs
        process.stdin.close()
        assert process.wait(30) == 0


def test_images_get_heat_maps(grey, files):
    command = ["score", "images", "--model", grey, "--method", "recon", "--heatmaps", "maps/"]
    assert cli.main([*command, "--out", "s.csv"]) == 0
    assert [line.split(",")[0] for line in Path("s.csv").read_text().splitlines()[1:]] == [
        Path(file).stem for file in files
    ]
    assert sorted(os.listdir("maps")) == sorted(os.listdir("images"))
    assert pixels(f"maps/{Path(files[0]).name}").shape == (224, 448, 3)
    assert cli.main(["score", "images", "--model", grey]) == 4  # no statistics
