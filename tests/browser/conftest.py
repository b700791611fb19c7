"""Chromium, and one person in front of the platform."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.kit.home import Home
from playwright.sync_api import Browser

from tests.platform.driver import Platform, running

from .lab import WORK_MS, Person, chromium

SHOTS = Path(__file__).parents[2] / "build" / "story"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of the story's own: its last chapter ends processes one by one."""
    with running(Home(tmp_path_factory.mktemp("story") / "home")) as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def ada(browser: Browser, platform: Platform) -> Iterator[Person]:
    context = browser.new_context(viewport={"width": 1360, "height": 820})
    context.set_default_timeout(WORK_MS)
    yield Person(context.new_page(), platform.url, SHOTS)
    context.close()


@pytest.fixture(autouse=True)
def pictured(request: pytest.FixtureRequest, ada: Person) -> Iterator[None]:
    """What was on the screen when a chapter failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        ada.see(f"failed-{request.node.name}")


@pytest.fixture(scope="module")
def ada_home(platform: Platform) -> Path:
    return platform.home.homes / "ada"


def wheel(folder: Path, name: str, version: str) -> None:
    """A wheel made by hand: a module that knows its version, and a console script of its name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\ndef main():\n    print(__version__)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages to install: `seashell` 1.0 and 2.0, `driftwood` 1.0."""
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "seashell", "1.0")
    wheel(folder, "driftwood", "1.0")
    return folder


@pytest.fixture(scope="session")
def newer_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`seashell` 2.0."""
    folder = tmp_path_factory.mktemp("newer-wheels")
    wheel(folder, "seashell", "2.0")
    return folder
