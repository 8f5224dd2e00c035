"""Who may import whom, so that lightness stays: the design's graph, held."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edgevae"
RUNTIME = sorted(path for path in PACKAGE.glob("*.py") if path.name != "__init__.py")

# A module imports from lower ranks, or from its own without a cycle.
RANKS = {"errors": 0, "_core": 1, "vae": 3, "bench": 4, "cli": 5}  # and 2 for all the others
NEEDED_AT_RUN_TIME = {"numpy", "onnxruntime", "PIL", "tqdm"}


def imports(path):
    """Every module that a file imports, wherever in the file: 'edgevae.vae', 'numpy' ..."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "edgevae":
            names.update(f"edgevae.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively: write the whole name"
            names.add(node.module)
    return names


def test_the_runtime_needs_what_the_wheel_declares_and_no_more():
    assert RUNTIME
    for path in RUNTIME:
        outside = {name.partition(".")[0] for name in imports(path)} - {"edgevae"}
        outside -= sys.stdlib_module_names
        assert outside <= NEEDED_AT_RUN_TIME, f"{path.name} imports {outside}"


def test_modules_import_downwards():
    graph = {}
    for path in RUNTIME:
        inside = {name.split(".")[1] for name in imports(path) if name.startswith("edgevae.")}
        inside = {name for name in inside if (PACKAGE / f"{name}.py").exists() or name == "_core"}
        above = {name for name in inside if RANKS.get(name, 2) > RANKS.get(path.stem, 2)}
        assert not above, f"{path.name} imports upwards: {above}"
        graph[path.stem] = inside
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_nothing_in_edgevae_imports_train():
    for path in PACKAGE.rglob("*.py"):
        assert "train" not in {name.partition(".")[0] for name in imports(path)}, path


def test_the_kernels_know_nothing_of_python():
    for path in (ROOT / "csrc").glob("*.[ch]"):
        text = path.read_text(encoding="utf-8")
        assert "<Python.h>" not in text, path
        assert "malloc(" not in text, path


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import edgevae", {"torch", "onnx", "onnxruntime", "PIL", "tqdm", "edgevae._core"}),
        ("import edgevae; edgevae.kernels()", {"torch", "onnx", "onnxruntime", "PIL", "tqdm"}),
        ("import edgevae; edgevae.generate", {"torch", "onnx", "train"}),
    ],
)
def test_what_a_fresh_process_loads(statement, absent):
    code = f"import sys; {statement}; print(*{{name for name in {absent} if name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
