"""`edgevae compile` refuses options that contradict each other, before it needs onnx."""

import re
import sys

import pytest

import edgevae
from edgevae import cli


def test_without_onnx_the_extra_is_named(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("edgevae.compiler")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(edgevae, "compiler", raising=False)
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(SystemExit) as usage:
        cli.main(["compile", "--decoder", "d.onnx", "--out", str(tmp_path / "b")])
    assert usage.value.code == 2
    expected = r"needs onnx(_ir)?, which is not installed: pip install 'edgevae\[compile\]'"
    assert re.search(expected, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--decoder and optionally --encoder"),
        (
            ["folder", "--decoder", "d.onnx"],
            "--decoder and optionally --encoder",
        ),
        (
            ["folder", "--encoder", "e.onnx"],
            "--decoder and optionally --encoder",
        ),
        (["--decoder", "d.onnx", "--scaling-factor", "2"], "--scaling-factor is for FOLDER"),
        (["--decoder", "d.onnx", "--calibration", "x.npy"], "--calibration is for --int8"),
        (
            ["--decoder", "d.onnx", "--likelihood", "bernoulli", "--sigma", "1"],
            "--sigma is for --likelihood gau",
        ),
        (["--decoder", "d.onnx", "--kind", "audio"], "invalid choice: 'audio'"),
        (["--decoder", "d.onnx", "--size", "0"], "a whole number at least 1, got '0'"),
    ],
)
def test_options_that_contradict_each_other_are_2(tmp_path, capsys, arguments, says):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compile", *arguments, "--out", str(tmp_path / "b")])
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
