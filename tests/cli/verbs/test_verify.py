"""`edgevae verify` accepts the results that a bundle had when it was made, and no others."""

import dataclasses
import hashlib
import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT
from tiny import int8

from edgevae import cli
from edgevae.diagnostics import verify as selfcheck


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_verify_accepts_the_stored_outputs(tiny_paths, name, capsys):
    assert cli.main(["verify", str(tiny_paths[name]), "--provider", "cpu", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["failed"], report["stream"]) == ([], True)
    limits = [graph["limits"] for graph in report["graphs"]]
    assert limits == [{"mu": 1e-4, "logvar": 1e-4}, {"x_hat": 1e-4}]
    for graph in report["graphs"]:
        assert max(graph["differences"].values()) <= 1e-4


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
    assert "logvar 1.0e-02, at most 1.0e-04: FAILED: logvar" in printed.out
    assert "got others from encoder.onnx (logvar)" in printed.err


def test_int8_without_its_own_outputs_may_differ_by_the_known_difference(tinies, tmp_path, capsys):
    tiny = tinies["grey"]
    dim = dataclasses.replace(tiny, x_range=(0.0, 0.95)).decoder()
    for difference, code in ((0.03, 0), (0.01, 6)):
        path = str(tmp_path / str(code))
        quality = {"int8": {"decoder_check_difference": difference}}
        tiny.write(Path(path), further=[int8("decoder", dim)], quality=quality)
        assert cli.main(["verify", path, "--precision", "int8", "--json"]) == code
        report = json.loads(capsys.readouterr().out)
        assert report["precision"] == "int8"
        assert report["failed"] == (["decoder.int8.onnx (x_hat)"] if code else [])
        limits = {graph["file"]: graph["limits"] for graph in report["graphs"]}
        assert limits["decoder.int8.onnx"]["x_hat"] == pytest.approx(1e-4 + 2 * difference)
        assert limits["encoder.onnx"]["mu"] == limits["decoder.onnx"]["x_hat"] == 1e-4
        assert cli.main(["verify", path]) == code
        assert cli.main(["info", path]) == 0
        assert f"decoder check difference {difference}" in capsys.readouterr().out
    out = os.fspath(tmp_path / "two.npy")
    assert cli.main(["generate", "2", "--model", path, "--precision", "int8", "--out", out]) == 0
