"""Training on text: reading lines, language models, a bundle and its report."""

import math

import numpy as np
import pytest
import torch

import edgevae
from edgevae.errors import InputError
from train.__main__ import main
from train.data import lines
from train.data.datasets import load
from train.evaluation import ngrams, text_report
from train.export import export
from train.model.checkpoint import Checkpoint
from train.stages import finetune_text as spell


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Ninety strings: a consonant and a vowel, twice or three times."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "syllables.txt"
    syllables = ["".join(pair) for pair in zip("bdkt" * 3, "aioaeu" * 2, strict=True)]
    items = {"".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(120)}
    path.write_text("\n".join([*sorted(items)[:90], "", "baba"]), "utf-8")
    return path


@pytest.fixture(scope="module")
def run(path, tmp_path_factory):
    """The checkpoint of two epochs and a second stage of one."""
    out = tmp_path_factory.mktemp("run")
    size = ["--widths", "16", "--latent-dim", "3", "--components", "2", "--batch", "16"]
    main(["--data", str(path), "--out", str(out), "--epochs", "2", "--sharpen", "1", *size])
    return Checkpoint.from_file(out / "last.pt")


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    return export.export(run, tmp_path_factory.mktemp("bundles") / "syllables")


def test_a_tenth_of_the_lines_is_held_out_once_each(path):
    data = load("folder", path)
    assert data.kind == "text"
    parts = [lines.strings(x, data.text) for x in (data.train, data.test)]
    assert len(parts[1]) == sum(map(len, parts)) // 10
    assert sorted([*parts[0], *parts[1]]) == sorted(set(filter(None, path.read_text().split("\n"))))


def test_too_few_lines_are_refused(tmp_path):
    (tmp_path / "few.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="at least 20 lines"):
        lines.lines(tmp_path / "few.txt")


def test_the_bundle_of_text_says_its_alphabet_and_makes_strings(written, path):
    assert written.kind == "text"
    assert written.likelihood == {"name": "categorical"}
    assert written.x_range == (0.0, 1.0)
    vae = edgevae.load(written.path)
    made = vae.generate(5, seed=1)
    assert [type(item) for item in made] == [str] * 5
    assert set("".join(made)) <= set(written.text.alphabet)
    assert vae.decode(vae.sample(2, seed=1)).sum(2) == pytest.approx(1, abs=1e-5)


def test_the_second_stage_is_what_is_exported(run, written):
    assert run.finetune_text.step == written.provenance["sharpen_steps"] > 0
    first, second = run.fit.parts["ema"], run.finetune_text.parts["ema"]
    assert not torch.equal(first["decoder.0.weight"], second["decoder.0.weight"])
    exported = run.averaged_model().state_dict()
    assert all(torch.equal(exported[key], value) for key, value in second.items())


def test_the_report_judges_every_set(written, path, tmp_path):
    report = text_report.report(written.path, load("folder", path), tmp_path, "a command")
    assert tuple(report["sets"]) == text_report.SETS
    assert report["sets"]["training set"]["novel"] == 0
    assert 0 <= report["kept"]["exact"] <= 1
    assert "a command" in (tmp_path / "report.md").read_text()


def test_ngrams_are_a_distribution_and_know_what_they_saw():
    model = ngrams.Ngrams(["ab", "abb", "ba"], order=3, symbols=3)
    for context in ("", "a", "ab", "bb", "zz", ngrams.END):
        total = sum(model.probability(context, c) for c in ("a", "b", ngrams.END))
        assert total == pytest.approx(1)
    assert model.nats(["ab"]) < model.nats(["aa"]) < math.inf


def test_the_language_model_reads_no_further_than_the_end():
    torch.manual_seed(0)
    language = spell.LanguageModel(3, width=4)
    x = torch.nn.functional.one_hot(torch.tensor([[0, 2, 2, 2], [0, 2, 1, 0]]), 3).float()
    one, other = spell.nats(language, x)
    assert one == other


def test_hardened_outputs_keep_the_gradient_of_the_probabilities():
    x_hat = torch.tensor([[[0.2, 0.5, 0.3]]], requires_grad=True)
    hard = spell.hardened(x_hat)
    assert hard.tolist() == [[[0, 1, 0]]]
    (hard * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x_hat.grad.tolist() == [[[1, 2, 3]]]
