"""The trainer's modules import each other without circles, imports inside of functions included."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import train

FOLDER = Path(train.__file__).parent


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)


def test_no_module_imports_itself_by_way_of_others():
    paths = {name_of(path): path for path in FOLDER.rglob("*.py")}
    imports = {}
    for name, path in paths.items():
        nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        full = {f"{n.module}.{alias.name}" for n in nodes for alias in n.names}
        imports[name] = ({n.module for n in nodes} | full) & paths.keys()
    assert len(imports["train.commands.train"]) > 5
    TopologicalSorter(imports).prepare()  # raises CycleError
