"""A fresh process runs this edgevae, with further variables, and reports how it ended."""

import edgevae
from edgevae.diagnostics.fresh_process import run_python


def test_it_runs_this_edgevae_with_its_variables(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    code = "import edgevae, os; print(edgevae.__file__, os.environ['A'], os.environ['PYTHONPATH'])"
    done = run_python("-c", code, A="b")
    file, variable, path = done.stdout.split()
    assert (file, variable, done.returncode) == (edgevae.__file__, "b", 0)
    assert path.endswith("elsewhere")


def test_files_of_the_current_folder_shadow_no_modules(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert run_python("-c", "import json").returncode == 0


def test_a_failure_is_returned():
    done = run_python("-c", "import sys; sys.exit('broken')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "broken\n")
