"""Every public name of the SDK and every command is in the documentation, and the demos are clean."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import atoll
import nbformat
import pytest
import typer.main
from atoll import sdk
from atoll.apps.cli import app
from atoll.kit.names import is_id

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "demos").glob("*/*.ipynb"))


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> list[tuple[str, object]]:
    return list(hooks().commands(typer.main.get_command(app), "atoll"))


def test_every_name_of_the_sdk_is_explained() -> None:
    page = (DOCS / "users" / "sdk.md").read_text("utf-8")
    for name in atoll.__all__:
        assert f"atoll.{name}(" in page
        assert inspect.getdoc(getattr(sdk, name)), name
    public = {name for name, value in inspect.getmembers(sdk, inspect.isfunction) if name[0] != "_"}
    assert public == set(atoll.__all__)


def test_every_command_is_in_the_reference_with_an_example() -> None:
    page = hooks().command_reference()
    for name, command in commands():
        assert f"## {name}\n" in page
        assert f"Example: `{name}" in (getattr(command, "help", None) or ""), name


def test_the_ids_of_the_examples_are_of_what_the_command_is_about() -> None:
    begins = {"jobs": "j-", "checkpoints": "k-", "datasets": "ds-"}
    for name, command in commands():
        for id_ in re.findall(r"\b[a-z]{1,3}-[0-9a-f]{20,}", getattr(command, "help", None) or ""):
            assert is_id(id_), f"{name}: {id_}"
            assert id_.startswith(begins[name.split()[1]]), f"{name}: {id_}"


def test_every_command_that_the_pages_show_exists() -> None:
    known = {name for name, _ in commands()}
    pages = [*DOCS.rglob("*.md"), *(ROOT / "demos").rglob("*.md"), ROOT / "README.md"]
    for page in pages:
        for line in re.findall(r"(?:^|[`(])(atoll [a-z]+(?: [a-z]+)?)", page.read_text(), re.M):
            words = line.split()
            assert {" ".join(words[:2]), line} & known, f"{page.name}: {line}"


@pytest.mark.parametrize("folder", ["users", "operators"])
def test_every_page_of_a_folder_is_on_its_first_page(folder: str) -> None:
    pages = {page.name for page in (DOCS / folder).glob("*.md")} - {"index.md"}
    listed = re.findall(
        r"^\| \[[^\]]+\]\(([a-z-]+\.md)\) \|", (DOCS / folder / "index.md").read_text(), re.M
    )
    assert sorted(listed) == sorted(pages)


def test_what_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        if target != "docs/adr":  # the site makes its list; in the source it is the folder's
            assert (ROOT / target).is_file(), target


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT,
        env={"PATH": str(Path(sys.executable).parent), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "reference" / "sdk.html").read_text("utf-8")
    for name in atoll.__all__:
        assert f'id="atoll.sdk.{name}"' in reference
    pages = "".join(page.read_text("utf-8") for page in tmp_path.rglob("*.html"))
    assert not re.findall(r'(?:src|rel="stylesheet" href)="https?:', pages), (
        "fetched from elsewhere"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_demo_is_a_valid_notebook_without_outputs(path: Path) -> None:
    document = nbformat.from_dict(json.loads(path.read_text("utf-8")))
    nbformat.validate(document)
    for cell in document.cells:
        assert re.fullmatch(r"[a-z-]+", cell.id), "ids are words, so that changes can be read"
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert (path.parent / "README.md").is_file()
