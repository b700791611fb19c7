"""A person in front of the platform in a cluster: the browser's page, and what kubectl sees of her server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import nbformat
from playwright.sync_api import Browser, Locator, Page

from tests.browser import lab
from tests.browser.lab import until
from tests.kubernetes import driver

SHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots" / "kubernetes"
HOME: Final = "/home/jovyan"
START_MS: Final = 240_000
"""A first start pulls an image and makes a volume, on a machine that may do other things too."""


class Visitor(lab.Person):
    """One person in one tab, whose server is a pod; `person` is the same one by kubectl."""

    def __init__(
        self, page: Page, platform: driver.Platform, person: driver.Person, shots: Path = SHOTS
    ) -> None:
        super().__init__(page, platform.url, shots)
        self.platform = platform
        self.person = person

    def choose_and_start(self, profile: str) -> None:
        """On the spawn page: this profile, and Start."""
        self.page.get_by_role("radio", name=re.compile(f"^{re.escape(profile)}")).check()
        self.press_start()

    def press_start(self) -> None:
        """Start with what is chosen; ends on the page that says what happens."""
        self.page.get_by_role("button", name=re.compile("^start", re.I)).first.click()
        self.page.wait_for_url(re.compile("/hub/spawn-pending/"))

    @property
    def steps(self) -> Locator:
        """The lines of the page of progress."""
        return self.page.locator(".progress-log-event")

    def wait_for_lab(self) -> None:
        """As in the class before, with patience for a cluster."""
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=START_MS)
        super().wait_for_lab()

    def open_terminal(self) -> None:
        """As in the class before; keys are lost until the shell behind it listens."""
        super().open_terminal()
        self._typed += 1
        heard = f"{HOME}/.heard-{self._typed}"

        def listens() -> bool:
            self._terminal.focus()
            self.page.keyboard.insert_text(f"touch {heard}")
            self.page.keyboard.press("Enter")
            self.page.wait_for_timeout(500)
            return bool(self.person.sh(f"ls {heard} 2>/dev/null", check=False))

        until(listens)

    def type_in(self, command: str) -> int:
        """Type a command into the terminal in front; its exit status, which it leaves in the home."""
        self._typed += 1
        said = f"{HOME}/.typed-{self._typed}"
        self._terminal.focus()
        self.page.keyboard.insert_text(f"{command}; echo $? > {said}")
        self.page.keyboard.press("Enter")
        return int(until(lambda: self.person.sh(f"cat {said} 2>/dev/null", check=False).strip()))

    def write(self, name: str, content: bytes) -> None:
        """Put a file into the home, as an upload does; folders are made."""
        path = f"{HOME}/{name}"
        self.person.sh_with(content, f"mkdir -p {path.rpartition('/')[0]} && cat > {path}")

    def stop(self) -> None:
        """By the button of the hub's control panel; ends when the hub says that it is stopped."""
        self.page.goto(f"{self.url}/hub/home")
        self.page.locator("#stop").click()
        self.page.locator("#start", has_text="Start").wait_for(timeout=START_MS)


@contextmanager
def visiting(
    browser: Browser, platform: driver.Platform, name: str, shots: Path = SHOTS
) -> Iterator[Visitor]:
    """Somebody with a browser of their own, who has not logged in there yet."""
    context = browser.new_context(viewport={"width": 1360, "height": 820})
    context.set_default_timeout(START_MS)
    yield Visitor(context.new_page(), platform, platform.user(name), shots)
    context.close()


def notebook(*sources: str) -> bytes:
    """A notebook of these cells."""
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    )
    made.cells.extend(nbformat.v4.new_code_cell(source) for source in sources)
    return nbformat.writes(made).encode()
