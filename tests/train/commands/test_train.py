"""A training run prints its progress, and leaves a checkpoint if it is interrupted."""

import argparse
import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgevae.errors import InputError
from train.__main__ import main
from train.commands import train
from train.model.checkpoint import Checkpoint

SMALL = "--batch 8 --epochs 3 --architecture mlp --widths 8 --latent-dim 2 --components 2".split()


def test_a_log_shows_each_epoch_and_the_command_to_give_next(squares, tmp_path, capsys):
    main(["--data", str(squares), "--out", str(tmp_path), *SMALL])
    out, log = capsys.readouterr()
    last = tmp_path / "last.pt"
    assert out == (
        f"wrote {last}; export it with `python -m train export {last} --out {tmp_path}/bundle`\n"
    )
    for line in ("fit: 9 steps of 8 items an epoch", "fit: epoch 1 of 3, recon", "epoch 3 of 3"):
        assert line in log


def test_a_run_that_stopped_early_says_how_to_go_on(squares, tmp_path, capsys):
    main(["--data", str(squares), "--out", str(tmp_path), *SMALL, "--stop-after", "2"])
    out, _ = capsys.readouterr()
    assert f"wrote {tmp_path}/last.pt after 2 of 3 epochs; go on with `python -m train " in out
    command = out.split("`")[1]
    assert command.endswith(" --resume")
    main(command.split()[3:])
    assert Checkpoint.from_file(tmp_path / "last.pt").step == 27


@pytest.mark.parametrize("words", ["--stop-after 2 --seed 1", "--resume --stop-after=2 --seed 1"])
def test_the_command_to_continue_leaves_out_the_option_that_ended_the_run(words):
    options = argparse.Namespace(arguments=["fashion", *words.split()])
    assert train.resuming(options) == "python -m train fashion --seed 1 --resume"


def test_an_interrupt_keeps_the_last_epoch_and_the_metrics(squares, tmp_path):
    command = [sys.executable, "-m", "train", "--data", squares, "--out", tmp_path, *SMALL]
    with subprocess.Popen(
        [*map(str, command), "--epochs", "100000", "--accelerator", "cpu"],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        last, deadline = tmp_path / "last.pt", time.monotonic() + 120
        while not last.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in log
    assert f"interrupted; {last} holds everything up to the last complete epoch" in log
    assert "--resume`" in log
    assert out == ""
    with (tmp_path / "log/version_0/metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    checkpoint = Checkpoint.from_file(last)
    assert checkpoint.step % 9 == 0
    assert steps[-1] >= checkpoint.step > 0


def test_a_stride_that_skips_steps_is_mentioned(tmp_path, capsys):
    rows = np.random.default_rng(0).standard_normal((600, 2))
    np.savetxt(tmp_path / "a.csv", rows, delimiter=",", header="a,b", comments="")
    options = "--kind signal --window 8 --stride 10 --epochs 1 --batch 8 --latent-dim 2"
    main(["--data", f"{tmp_path}/a.csv", "--out", f"{tmp_path}/run", *options.split()])
    assert "--stride 10 exceeds --window 8" in capsys.readouterr().err


def test_options_of_signals_are_refused_without_kind_signal(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    for option in ("--window 8", "--stride 4", "--runs-by a"):
        with pytest.raises(InputError, match=f"{option.split()[0]}: expected --kind signal"):
            main(["--data", f"{tmp_path}/a.csv", "--out", f"{tmp_path}/run", *option.split()])


def test_help_does_not_import_pytorch():
    code = "import sys; from train.__main__ import main\ntry: main(['--help'])\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"
