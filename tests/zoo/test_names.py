"""The shipped bundle `names` takes and returns strings in every verb."""

import io
import pickle

import numpy as np
import pytest

import edgevae
from edgevae import cli
from edgevae.data import Text
from edgevae.diagnostics import verify as selfcheck
from edgevae.errors import InputError

LIMIT = 3_500_000  # bytes of the bundle without its int8 graphs


@pytest.fixture(scope="module")
def vae():
    return edgevae.load("names")


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Run a command on lines of standard input; return its exit code and its output's lines."""

    def run(*arguments, stdin_text=""):
        stdin = io.TextIOWrapper(io.BytesIO(stdin_text.encode()))
        monkeypatch.setattr("sys.stdin", stdin)
        try:
            code = cli.main([*arguments])
        except SystemExit as exit:  # wrong usage
            code = exit.code
        return code, capfdbinary.readouterr().out.decode().splitlines()

    return run


def test_it_is_small_states_its_origin_and_verifies(vae):
    shipped = vae.bundle
    assert sum(each.bytes for name, each in shipped.files.items() if "int8" not in name) < LIMIT
    assert shipped.provenance["parameters"] <= 700_000
    assert "names 0.3.0" in shipped.licence
    assert "public domain" in shipped.licence
    assert shipped.text == Text("abcdefghijklmnopqrstuvwxyz", 13, "title")
    assert selfcheck.verify(vae).failed == []


def test_generates_names_that_differ_and_are_words(vae):
    generated = vae.generate(1000, seed=1)
    assert isinstance(generated, list)
    assert {type(name) for name in generated} == {str}
    assert len(set(generated)) >= 900
    assert all(name.isalpha() and name == name.title() for name in generated if name)
    assert "" not in generated


def test_rows_are_the_same_however_they_are_made(vae):
    generated = edgevae.generate(40, model="names", seed=1)
    assert generated == vae.generate(40, seed=1)
    assert generated[10:20] == vae.generate(10, seed=1, start=10)
    batches = list(vae.stream(40, seed=1, batch=16))
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert [name for batch in batches for name in batch] == generated
    assert pickle.loads(pickle.dumps(vae)).generate(40, seed=1) == generated
    assert vae.generate(0) == []


@pytest.mark.parametrize("more", [{"dtype": "uint8"}, {"out": np.empty((2, 13, 27), np.float32)}])
def test_arrays_are_refused_as_outputs_of_text(vae, more):
    with pytest.raises(InputError, match=r"list of str.*decode\(sample"):
        vae.generate(2, **more)


def test_decode_gives_the_characters_probabilities(vae):
    x_hat = vae.decode(vae.sample(3, seed=1))
    assert x_hat.dtype == np.float32
    assert x_hat.shape == (3, 13, 27)
    assert x_hat.sum(2) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("names", ["smith", "Garcia", ["smith", "garcia", "NGUYEN"], ["smith"]])
def test_results_have_the_type_of_the_input(vae, names):
    back = vae.reconstruct(names)
    assert type(back) is type(names)
    assert back == (names.title() if isinstance(names, str) else [x.title() for x in names])


def test_a_walk_begins_and_ends_at_its_ends(vae):
    walk = vae.interpolate("smith", "garcia", 7)
    assert (walk[0], walk[-1]) == ("Smith", "Garcia")
    assert len(walk) == 7
    assert len(set(walk)) > 3


def test_variations_of_a_name_are_strings(vae):
    generated = vae.vary("smith", 5, seed=1)
    assert [type(name) for name in generated] == [str] * 5
    assert vae.vary("smith", 2, strength=0) == ["Smith"] * 2


def test_encodes_strings_as_their_one_hot_rows(vae):
    one, both = vae.encode("smith").mu, vae.encode(["smith", "garcia"]).mu
    assert one.shape == (1, *vae.bundle.latent_shape)
    assert both[0] == pytest.approx(one[0], abs=1e-5)


def test_shuffled_letters_score_stranger_than_names(vae):
    names = vae.generate(200, seed=3)
    shuffler = np.random.default_rng(0)
    shuffled = ["".join(shuffler.permutation(list(name))) for name in names]
    method = "elbo"
    assert np.median(vae.score(names, method).values) < np.median(
        vae.score(shuffled, method).values
    )


def test_a_batcher_takes_strings(vae):
    with edgevae.Batcher(vae) as batcher:
        assert batcher.encode("smith").mu == pytest.approx(vae.encode("smith").mu, abs=1e-5)


def test_the_command_line_prints_names(run, vae, tmp_path):
    assert run("generate", "3", "--model", "names", "--seed", "1") == (0, vae.generate(3, seed=1))
    out = tmp_path / "names.txt"
    assert run("generate", "3", "--model", "names", "--seed", "1", "--out", str(out))[0] == 0
    assert out.read_text().splitlines() == vae.generate(3, seed=1)


def test_the_command_line_takes_strings_files_and_standard_input(run, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("smith\ngarcia\n")
    expected = 0, ["Smith", "Garcia"]
    assert run("reconstruct", "smith", "garcia", "--model", "names") == expected
    assert run("reconstruct", str(names), "--model", "names") == expected
    assert run("reconstruct", "-", "--model", "names", stdin_text="smith\ngarcia\n") == expected
    code, walk = run("interpolate", "smith", "garcia", "--steps", "5", "--model", "names")
    assert (code, walk[0], walk[-1], len(walk)) == (0, "Smith", "Garcia", 5)
    out = tmp_path / "latents.npz"
    assert run("encode", str(names), "--model", "names", "--out", str(out))[0] == 0
    with np.load(out) as latents:
        assert latents["mu"].shape[0] == 2


@pytest.mark.parametrize("out", ["x.png", "x.npy", "x/"])
def test_the_command_line_refuses_other_forms_for_text(run, out):
    assert run("generate", "3", "--model", "names", "--out", out)[0] == 2


def test_a_line_that_does_not_fit_is_refused(run, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("smith\no'neil\n")
    code, _ = run("reconstruct", str(names), "--model", "names")
    assert code == 4


def test_lines_are_refused_for_images(run):
    assert run("generate", "3", "--out", "x.txt")[0] == 2
