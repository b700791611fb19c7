"""What a person does in the hub and in the lab, as sentences over a Playwright page."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as NotInTimeError

START_MS: Final = 60_000  # a first start on a busy machine
WORK_MS: Final = 60_000

T = TypeVar("T")
_QUIET: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, for as long as this lasts."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=WORK_MS)  # a machine that does other things too
        path = shutil.which("chromium")
        started = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield started
        started.close()


def until(look: Callable[[], T], limit_ms: int = WORK_MS) -> T:
    """What `look` gives once that is true; fails after the limit."""
    deadline = time.monotonic() + limit_ms / 1000
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {limit_ms} ms in vain"
        time.sleep(0.1)
    return found


class Person:
    """One person in one browser tab. `shots` is where pictures of each step are put."""

    def __init__(self, page: Page, url: str, shots: Path) -> None:
        self.page = page
        self.url = url.rstrip("/")
        self._shots = shots
        self._shot = 0
        self._typed = 0
        # JupyterLab asks which kernel where it has not heard yet of the one that the notebook names
        asked = page.locator(".jp-Dialog", has_text="Select Kernel")
        page.add_locator_handler(asked, lambda: asked.get_by_role("button", name="Select").click())

    def see(self, name: str) -> None:
        """Keep a picture of what is on the screen."""
        self._shot += 1
        self._shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._shots / f"{self._shot:02}-{name}.png")

    def log_in(self, name: str, password: str) -> None:
        """From the address that `atoll up` prints to the page after the login."""
        self.page.goto(f"{self.url}/hub/login")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.see("login")
        self.page.get_by_role("button", name=re.compile("sign in", re.I)).click()
        self.page.wait_for_url(re.compile("/hub/(home|spawn)|/user/"))

    def spawn_page(self) -> None:
        """The page that offers what to start."""
        self.page.goto(f"{self.url}/hub/spawn")
        self.page.wait_for_url(re.compile("/hub/spawn"))

    def start(self) -> None:
        """Press Start and wait for the lab."""
        self.page.get_by_role("button", name=re.compile("^start", re.I)).first.click()
        self.wait_for_lab()

    def wait_for_lab(self) -> None:
        """Until JupyterLab is there and its splash is gone."""
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=START_MS)
        self.page.locator("#jp-main-dock-panel").wait_for(timeout=START_MS)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=START_MS)

    def open_notebook(self, path: str) -> None:
        """Open a notebook of the home and wait until its kernel is idle."""
        user = re.search(r"/user/([^/]+)/", self.page.url)
        assert user is not None
        self.page.goto(f"{self.url}/user/{user[1]}/lab/tree/{path}?reset")
        self.wait_for_lab()
        self.notebook.locator(".jp-Cell").first.wait_for(timeout=START_MS)
        self.wait_for_idle()

    @property
    def notebook(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait_for_idle(self) -> None:
        """Until the kernel has nothing to do."""
        self.notebook.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(
            timeout=START_MS
        )

    def run_cell(self, number: int) -> str:
        """Run the cell (from 0) and answer with the text of its output."""
        cell = self.notebook.locator(".jp-Cell").nth(number)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.inner_text()

        def begun() -> bool:  # the lab swallows keys while it moves the focus to a new cell
            if prompt.inner_text() == before:
                cell.locator(".cm-content").click()
                self.page.keyboard.press("Control+Enter")
                self.page.wait_for_timeout(300)
            return prompt.inner_text() != before

        until(begun)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=WORK_MS)
        return cell.locator(".jp-OutputArea").inner_text()

    def add_and_run(self, source: str) -> str:
        """Put a cell with this source at the end, run it, and answer with its output's text."""
        cells = self.notebook.locator(".jp-Cell")
        count = cells.count()
        self.notebook.locator(".jp-Notebook-footer").click()
        expect(cells).to_have_count(count + 1)
        cells.last.locator(".cm-content").click()
        self.page.keyboard.insert_text(source)
        return self.run_cell(count)

    def open_terminal(self) -> None:
        """Open a terminal and wait for its prompt."""
        self.command("New Terminal")
        self._terminal.wait_for(state="attached")

    @property
    def _terminal(self) -> Locator:
        shown = ".jp-MainAreaWidget:not(.lm-mod-hidden)"
        return self.page.locator(f"{shown} .jp-Terminal .xterm-helper-textarea")

    def type(self, command: str, home: Path) -> int:
        """Type a command into the terminal in front and answer with its exit status.

        The screen is a drawing, so the shell says in files of the home that it listens, before which
        keys are lost, and that it is done.
        """
        self._typed += 1
        heard, said = (home / f".{what}-{self._typed}" for what in ("heard", "typed"))

        def listens() -> bool:
            self._enter(f"touch ~/{heard.name}")
            self.page.wait_for_timeout(300)
            return heard.exists()

        until(listens)
        self._enter(f"{command}; echo $? > ~/{said.name}")
        return int(until(lambda: said.read_text().strip() if said.exists() else "", WORK_MS))

    def _enter(self, line: str) -> None:
        self._terminal.focus()
        self.page.keyboard.insert_text(line)
        self.page.keyboard.press("Enter")

    def command(self, label: str) -> None:
        """Run a command from the palette."""
        field = self.page.locator(".lm-CommandPalette-input:visible")
        item = self.page.locator(".lm-CommandPalette-item:visible", has_text=label)

        def chosen() -> bool:
            # A document that takes the focus at this moment takes the key too, or closes the palette.
            if not field.is_visible():
                self.page.keyboard.press("Control+Shift+C")
            try:
                field.fill(label, timeout=1_000)
                item.first.click(timeout=5_000)
            except NotInTimeError:
                return False
            return True

        until(chosen)

    def show(self, panel: str) -> Locator:
        """Open a panel of the sidebar: datasets, environment or jobs."""
        self.command(f"Show {panel.title()}")
        shown = self.page.locator(f"#atoll-{panel}")
        shown.wait_for()
        return shown
