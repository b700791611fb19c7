"""What the documentation makes of the source: the command reference, the demos, the list of decisions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
DECISIONS: Final = "<!-- the decisions -->"
SECTIONS: Final = {
    "Using Atoll": (
        "users",
        [
            "index",
            "first-steps",
            "environment",
            "datasets",
            "jobs",
            "sdk",
            "cli",
            "troubleshooting",
        ],
    ),
    "Demos": ("demos", []),
    "Running Atoll": (
        "operators",
        ["index", "running", "settings", "profiles", "storage", "security"],
    ),
    "Reference": ("reference", ["sdk", "cli"]),
    "Developing Atoll": ("developers", ["index"]),
    "Decisions": ("adr", ["index"]),
}
"""Each section's folder and its first pages, in order; other pages follow by name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the source, and put every page into the navigation."""
    files.append(File.generated(config, "reference/cli.md", content=command_reference()))
    for page in sorted((ROOT / "demos").rglob("README.md")):
        name = page.relative_to(ROOT / "demos").with_name("index.md")
        content = page.read_text("utf-8").replace("README.md", "index.md")
        files.append(File.generated(config, f"demos/{name.as_posix()}", content=content))
    pages = [{"Atoll": "index.md"}, *_sections([f.src_uri for f in files])]
    config.nav = [*pages, {"Benchmarks": "benchmarks.md"}]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """List the decisions on their page."""
    del config
    if page.file.src_uri != "adr/index.md":
        return markdown
    lines = [
        f"- [{_title(file)}]({file.src_uri.removeprefix('adr/')})"
        for file in sorted(files.documentation_pages(), key=lambda file: file.src_uri)
        if file.src_uri.startswith("adr/") and file.src_uri != "adr/index.md"
    ]
    return markdown.replace(DECISIONS, "\n".join(lines))


def command_reference() -> str:
    """Every command with its help, arguments and options, as one page."""
    sys.path.insert(0, str(ROOT / "extensions"))
    from atoll.apps.cli import app

    parts = [
        "# Commands\n\nGenerated from the program; `atoll COMMAND --help` says the same."
        " What exit statuses mean stands in [the command line](../users/cli.md#exit-status).\n"
    ]
    for name, command in commands(typer.main.get_command(app), "atoll"):
        parts.append(_command(name, command))
    return "\n".join(parts)


def commands(command: object, name: str) -> Iterator[tuple[str, object]]:
    """Each command that does something, by its full name."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, below in inner.items():
        yield from commands(below, f"{name} {word}")


def _command(name: str, command: object) -> str:
    help_ = re.sub(r"\s*\n\s*\n\s*", "\n\n", (getattr(command, "help", "") or "").strip())
    lines = [f"## {name}", "", help_, ""]
    rows = [_parameter(parameter) for parameter in getattr(command, "params", [])]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _parameter(parameter: object) -> str:
    if getattr(parameter, "param_type_name", "") == "argument":
        spelled = str(getattr(parameter, "metavar", "") or getattr(parameter, "name", ""))
    else:
        spelled = ", ".join(getattr(parameter, "opts", []))
    default = getattr(parameter, "default", None)
    told = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    if isinstance(default, str | int) and not isinstance(default, bool) and default != "":
        told += f" Default: `{default}`."
    return f"| `{spelled}` | {told} |"


def _sections(pages: list[str]) -> Iterator[dict[str, list[str]]]:
    for title, (folder, first) in SECTIONS.items():
        order = [f"{folder}/{name}.md" for name in first]
        found = sorted(
            (page for page in pages if page.startswith(f"{folder}/") and page.endswith(".md")),
            key=lambda page: (order.index(page) if page in order else len(order), page),
        )
        if found:
            yield {title: found}


def _title(file: File) -> str:
    heading = re.search(r"^# (.+)$", file.content_string, re.MULTILINE)
    return heading[1] if heading else file.name
