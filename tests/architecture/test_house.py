"""The house keeps its shape: short modules that say what they are for, and no forbidden words."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for top in ("extensions/atoll", "hub_config")
    for path in (ROOT / top).rglob("*.py")
    if "labextension" not in path.parts
)
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= LONGEST_MODULE
    assert ast.get_docstring(ast.parse(source)), "its first line says what the module is for"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_function_fits_on_a_page(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "manager", "misc"}


def tracked_text() -> list[tuple[str, str]]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    texts = []
    for name in filter(None, names):
        path = ROOT / name
        if path.suffix in {".png", ".ico", ".parquet"} or not path.is_file():
            continue
        texts.append((name, path.read_text("utf-8")))
    return texts


def test_nothing_left_to_do_is_committed() -> None:
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    found = [
        name
        for name, text in tracked_text()
        if name.endswith((".py", ".ts", ".tsx")) and words.search(text)
    ]
    assert not found


def test_the_constraints_name_no_address() -> None:
    assert not re.search(r"https?:|@ |--", (ROOT / "constraints.txt").read_text("ascii"))
