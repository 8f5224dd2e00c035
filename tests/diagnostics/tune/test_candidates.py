"""Candidates differ in a file, are opened alone, and are refused for a wrong output."""

import numpy as np
import pytest

from edgevae import bundle
from edgevae.diagnostics.tune import candidates
from edgevae.diagnostics.tune.candidates import Candidate
from edgevae.engine import targets
from edgevae.errors import ProviderError

HERE = targets("cpu")[0]


def test_candidates_are_the_graphs_that_suit_the_provider(several):
    assert [*candidates.candidates(several, "cuda", "float32")] == [
        Candidate("cuda", "float32", "generic"),
        Candidate("cuda", "float32", "any"),
    ]
    assert [*candidates.candidates(several, "cpu", "float32")] == [
        Candidate("cpu", "float32", HERE),
        Candidate("cpu", "float32", "any"),
    ]
    assert [each.target for each in candidates.candidates(several, "cpu", "int8")] == ["any"]
    assert [each.target for each in candidates.candidates(several, "openvino", "bf16")] == [
        "generic",
        "any",
    ]


def test_all_precisions_are_measured_unless_some_are_named(several):
    assert candidates.settings(several, ["cpu", "openvino"], None) == [
        ("cpu", "float32"),
        ("cpu", "int8"),
        ("openvino", "float32"),
        ("openvino", "int8"),
        ("openvino", "bf16"),
    ]
    assert candidates.settings(several, ["cpu"], ["bf16"]) == [("cpu", "bf16")]


def test_a_candidate_is_opened_alone_and_refused_if_it_is_wrong(several):
    wrong = candidates.opened(several, Candidate("cpu", "float32", HERE), 2)
    assert wrong.graph("decoder").entry.target == HERE
    assert wrong.graph("encoder").entry.target == "any"
    reason = candidates.refusal(wrong)
    assert reason.startswith("x_hat differs from PyTorch's by ")
    assert "mu" not in reason
    right = candidates.opened(several, Candidate("cpu", "float32", "any"), 2)
    assert right.graph("decoder").entry.target == "any"
    assert candidates.refusal(right) == ""
    in_int8 = candidates.opened(several, Candidate("cpu", "int8", "any"), 2)
    assert in_int8.graph("decoder").entry.precision == "int8"
    assert candidates.refusal(in_int8) == ""  # as its quality states


def test_a_candidate_whose_provider_is_absent_or_unsuitable_raises(several):
    with pytest.raises(ProviderError, match="does not know"):
        candidates.opened(several, Candidate("ghost", "float32", "any"), 2)
    with pytest.raises(ProviderError, match="'bf16'"):
        candidates.opened(several, Candidate("cpu", "bf16", "any"), 2)


def test_a_crash_is_a_reason_and_an_exception_is_none(several, monkeypatch):
    assert candidates.crash(several, Candidate("cpu", "float32", "any"), 2) == ""
    assert candidates.crash(several, Candidate("ghost", "float32", "any"), 2) == ""
    monkeypatch.setattr(candidates, "_TRIAL", "import os; os.abort()")
    assert "ended a process" in candidates.crash(several, Candidate("cpu", "float32", "any"), 2)


def test_the_similarity_is_the_manifests_or_measured(several, tiny_paths):
    plain = candidates.opened(several, Candidate("cpu", "float32", "any"), 2)
    darker = candidates.opened(several, Candidate("cpu", "int8", "any"), 2)
    assert candidates.similarity(plain, plain) is None
    assert candidates.similarity(plain, darker) == 36.0
    darker.bundle = bundle.read(tiny_paths["grey"])  # whose manifest has no quality
    x_hat = plain.decode(plain.prior.draw(64, seed=2))
    error = np.sqrt(np.square(np.rint(255 * x_hat) - np.rint(255 * 0.95 * x_hat)).mean())
    assert candidates.similarity(plain, darker) == pytest.approx(
        20 * np.log10(255 / error), abs=0.5
    )
