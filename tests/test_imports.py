"""Rooms import only those below them, and an import of edgevae stays cheap."""

import ast
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import edgevae

PACKAGE = Path(edgevae.__file__).parent
ROOT = PACKAGE.parent

# A room (a package, or a module that stands alone) may import those of the lines above its own.
ROOMS = """
    zoo errors interrupts
    atomic json_fields npz
    _core
    sampling packing
    checks
    data latents
    bundle
    engine
    scoring denoising
    tiling files
    vae
    batcher plots
    diagnostics
    compiler
    cli
    __main__
"""
WORKSTATION = {"torch", "torchvision", "onnx", "onnxscript", "sklearn", "scipy", "train"}
# Third-party packages that may be imported inside of functions alone.
DEFERRED = {"onnxruntime", "PIL", "tqdm", "matplotlib", "pyarrow"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if room(path) != "compiler")


def imports(tree: ast.AST) -> set[str]:
    """Return the full names of the modules that a tree imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import at line {node.lineno}"
            assert node.module is not None
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the full names of the modules that a file imports, anywhere in it."""
    return frozenset(imports(ast.parse(path.read_text())))


def at_import(tree: ast.Module) -> ast.Module:
    """Return the tree without functions, which run later, and without blocks for type checking."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return ast.Pass()

        def visit_If(self, node):
            checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return ast.Pass() if checking else self.generic_visit(node)

    return Strip().visit(tree)


def room(path: Path) -> str:
    """Return the package or the module of `edgevae` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_those_below_it(path):
    if path == PACKAGE / "__init__.py":
        return  # which names what users import, and imports none of it
    lines = [line.split() for line in ROOMS.split("\n")]
    here = next((i for i, line in enumerate(lines) if room(path) in line), None)
    assert here is not None, f"say in ROOMS where {room(path)} belongs"
    allowed = {room(path)}.union(*lines[:here])
    assert {
        name.split(".")[1] for name in imports_of(path) if name.startswith("edgevae.")
    } <= allowed


def users() -> list[Path]:
    """Return all files that may import edgevae's rooms: those of edgevae, train and benchmarks."""
    folders = [ROOT / name for name in ("edgevae", "train", "benchmarks")]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


@pytest.mark.parametrize("path", users(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_is_used_through_its_face(path):
    here = room(path) if PACKAGE in path.parents else None
    for name in imports_of(path):
        module, _, member = name.rpartition(".")
        if not module.startswith("edgevae.") or module.split(".")[1] == here:
            continue
        face = PACKAGE.joinpath(*module.split(".")[1:], "__init__.py")
        if (PACKAGE / module.split(".")[1]).is_dir():
            assert face.is_file(), f"{name}: {module} is not a package; use its room's face"
            assert f'"{member}"' in face.read_text(), f"{name}: the face of {module} lacks it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_runtime_needs_no_workstation(path):
    top = {name.split(".")[0] for name in imports_of(path)}
    assert top & WORKSTATION == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_inside_functions(path):
    top = {name.split(".")[0] for name in imports(at_import(ast.parse(path.read_text())))}
    assert top & DEFERRED == set()
    allowed = {"edgevae", "numpy", "__future__", *sys.stdlib_module_names}
    assert top - allowed == set()


def run_python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def loaded_after(code: str) -> set[str]:
    found = run_python(f"{code}\nimport sys; print(*sys.modules)")
    return {name.split(".")[0] for name in found.split()}


def test_import_edgevae_loads_nothing_heavy():
    loaded = loaded_after("import edgevae, numpy")
    assert loaded & (WORKSTATION | DEFERRED | {"importlib_metadata"}) == set()
    beyond_numpy = loaded - loaded_after("import numpy")
    assert beyond_numpy == {"edgevae"}


def test_generating_loads_onnxruntime_alone(tiny_paths):
    path = os.fspath(tiny_paths["grey"])
    loaded = loaded_after(f"import edgevae; edgevae.generate(2, model={path!r}, dtype='uint8')")
    assert loaded & (WORKSTATION | DEFERRED) == {"onnxruntime"}


def test_import_edgevae_costs_what_numpy_costs():
    """The median of seven ratios of CPU time, measured in turn, is at most 1.2."""
    code = (
        "import time; before = time.process_time();import {}; print(time.process_time() - before)"
    )
    ratios = [
        float(run_python(code.format("edgevae, numpy"))) / float(run_python(code.format("numpy")))
        for _ in range(7)
    ]
    assert np.median(ratios) < 1.2


def test_the_version_is_that_of_the_package():
    if not (pyproject := ROOT / "pyproject.toml").is_file():
        pytest.skip("edgevae is installed: its sources are not at hand")
    project = tomllib.loads(pyproject.read_text())["project"]
    assert edgevae.__version__ == project["version"]


def test_public_names_are_all_there():
    for name in edgevae.__all__:
        assert name in dir(edgevae)
        assert getattr(edgevae, name) is getattr(edgevae, name)
    assert edgevae.InputError.__mro__[1:3] == (edgevae.EdgeVAEError, ValueError)
    with pytest.raises(AttributeError, match="module 'edgevae' has no attribute 'generat'"):
        edgevae.generat  # noqa: B018
