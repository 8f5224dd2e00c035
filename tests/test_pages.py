"""README and docs: their figures are those of benchmarks/results, their links and commands work."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from figures import TABLES, Table

from edgevae.cli import parser

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
README_LINES = 130
# Pages whose Python examples run one after the other, without files, training or plugins.
RUNNABLE = ("README.md", "docs/quickstart.md", "docs/anomalies.md", "docs/serving.md")


def names_of(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def marked_tables() -> dict[str, Table]:
    """The body of each table below a comment `table: NAME`, without bold type."""
    found: dict[str, Table] = {}
    for page in PAGES:
        for name, rows in re.findall(
            r"<!-- table: (.+) -->\n+((?:\|.*\n)+)", page.read_text("utf-8")
        ):
            assert name not in found, f"{page}: table {name!r} stands on two pages"
            _, _, *body = rows.replace("**", "").splitlines()
            found[name] = [[cell.strip() for cell in row.strip("| ").split("|")] for row in body]
    return found


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_figures_of_the_results(name: str) -> None:
    expected = TABLES[name]()
    shown = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    width = len(expected[0])
    got = [[*row, *[""] * (width - len(row))] for row in marked_tables().get(name, [])]
    assert got == expected, f"table {name!r} should have these rows:\n{shown}"


def test_no_marked_table_is_left_unchecked() -> None:
    assert set(marked_tables()) == set(TABLES)


# --- links, commands, examples ----------------------------------------------------------------


def test_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= README_LINES


FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def fenced(text: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return [body for _, name, body in FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    return FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", names_of(PAGES))
def test_relative_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose((ROOT / page).read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists(), f"{page}: {link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}: no such heading"


def command_lines(program: str) -> Iterator[tuple[str, list[str]]]:
    """Each command line of a program in the pages' code blocks, with its arguments."""
    for page in PAGES:
        for block in fenced(page.read_text("utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for command in re.split(r"&&|\|", line.partition(" #")[0]):
                    words = shlex.split(re.sub(r"[<>].*", "", command))
                    if words[: len(program.split())] == program.split():
                        where = f"{page.relative_to(ROOT)}: {command.strip()}"
                        yield where, words[len(program.split()) :]


def refused(command_line: Any, arguments: list[str]) -> bool:
    """Return whether a parser ends with a usage error; `--help` and `--version` do not."""
    try:
        command_line.parse_args(arguments)
    except SystemExit as error:
        return bool(error.code)
    return False


def test_command_lines_parse() -> None:
    commands = list(command_lines("edgevae"))
    assert len(commands) > 40
    assert [where for where, arguments in commands if refused(parser(), arguments)] == []


def refused_in_training(arguments: list[str]) -> bool:
    from train.__main__ import COMMANDS
    from train.__main__ import parser as training_parser

    named = arguments if arguments[0] in COMMANDS else ["folder", *arguments]
    return refused(training_parser(named), named)


@pytest.mark.train
def test_training_command_lines_parse() -> None:
    pytest.importorskip("torch")
    commands = list(command_lines("python -m train"))
    assert len(commands) > 10
    assert [where for where, arguments in commands if refused_in_training(arguments)] == []


def verbs() -> dict[str, Any]:
    """The parser of each verb of the command line."""
    (action,) = (action for action in parser()._actions if hasattr(action, "add_parser"))
    return dict(action.choices)


def reference() -> dict[str, str]:
    """The sections of docs/cli.md by heading, without the backquotes."""
    parts = re.split(
        r"^#+ (.+)$", (ROOT / "docs" / "cli.md").read_text("utf-8"), flags=re.MULTILINE
    )
    return {
        heading.strip("`"): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_reference_has_every_verb() -> None:
    described = {name for name in reference() if name.startswith("edgevae ")}
    assert described == {f"edgevae {verb}" for verb in verbs()}


@pytest.mark.parametrize("verb", verbs())
def test_the_reference_has_every_option_of(verb: str) -> None:
    sections = reference()
    text = sections["Common options"] + sections[f"edgevae {verb}"]
    described = set(re.findall(r"`(--?[a-z][a-z0-9-]*)", text))
    options = {
        action.option_strings[-1] for action in verbs()[verb]._actions if action.option_strings
    }
    assert options - described == set()


@pytest.mark.parametrize("page", names_of(PAGES))
def test_python_examples_are_python(page: str) -> None:
    for block in fenced((ROOT / page).read_text("utf-8"), "python"):
        ast.parse(block)


@pytest.mark.parametrize("page", RUNNABLE)
def test_python_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in fenced((ROOT / page).read_text("utf-8"), "python"):
        exec(compile(block, page, "exec"), names)
