"""`python -m train` finds the command that its arguments name."""

import subprocess
import sys
from pathlib import Path

import pytest

from train.__main__ import main

ROOT = Path(__file__).parents[2]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv = ['train', 'fashion']; "
        "runpy.run_module('train', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "training needs torch, which is not installed: pip install -e '.[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_refused_at_once(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fashon"])
    assert "invalid choice: 'fashon' (choose from" in capsys.readouterr().err
