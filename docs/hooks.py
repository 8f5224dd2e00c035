"""Hooks of mkdocs for what pages show from outside docs/: benchmarks/ and CONTRIBUTING.md.

A page links to them by their place in the repository, as `../benchmarks/...`, so that links work
on GitHub too.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SUFFIXES = {".md", ".png"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures and pages of benchmarks/ to the site."""
    for path in sorted((ROOT / "benchmarks").rglob("*")):
        if path.suffix in SUFFIXES:
            source = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, source, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Show CONTRIBUTING.md in its place; point links to and from benchmarks/ into the site."""
    source = page.file.src_uri
    if source == "contributing.md":
        return (ROOT / "CONTRIBUTING.md").read_text("utf-8").replace("](docs/", "](")
    if source.startswith("benchmarks/"):
        return re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
    return markdown.replace("](../benchmarks/", "](benchmarks/")
