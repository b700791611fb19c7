"""Progress of work that takes over a second: a bar in a terminal, a line in a notebook, else silence."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Final, Protocol

from atoll.kit.notebook import in_notebook

if TYPE_CHECKING:
    from IPython.display import DisplayHandle
    from rich.progress import Progress

_SHOW_AFTER_S: Final = 0.7  # what ends sooner needs no bar


class Report(Protocol):
    """Says how far the work is: a sentence, and the share done (0 to 1) where it is known."""

    def __call__(self, message: str, share: float | None = None) -> None: ...


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Report]:
    """A `report(message, share)` to call as the work goes on; it may be called as often as wanted."""
    if quiet:
        yield _silence
    elif in_notebook():
        line = _NotebookLine()
        yield line.report
        line.end()
    elif sys.stderr.isatty():
        bar = _TerminalBar()
        try:
            yield bar.report
        finally:
            bar.end()
    else:
        yield _silence


def _silence(message: str, share: float | None = None) -> None:
    del message, share


class _TerminalBar:
    def __init__(self) -> None:
        self._from = time.monotonic()
        self._shown: Progress | None = None

    def report(self, message: str, share: float | None = None) -> None:
        if time.monotonic() - self._from < _SHOW_AFTER_S:
            return
        if self._shown is None:
            self._shown = self._show()
        task = self._shown.task_ids[0]
        total = None if share is None else 1.0
        self._shown.update(task, description=message, completed=share or 0.0, total=total)

    def _show(self) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from atoll.kit.console import err

        shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=err(),
            transient=True,
        )
        shown.add_task("", total=None)
        shown.start()
        return shown

    def end(self) -> None:
        if self._shown is not None:
            self._shown.stop()


class _NotebookLine:
    def __init__(self) -> None:
        self._from = time.monotonic()
        self._shown: DisplayHandle | None = None
        self._html = ""

    def report(self, message: str, share: float | None = None) -> None:
        if time.monotonic() - self._from < _SHOW_AFTER_S:
            return
        value = "" if share is None else f' value="{share:.3f}"'
        self._put(f"<progress{value}></progress> {escape(message)}")

    def _put(self, html: str) -> None:
        from IPython.display import HTML, display

        if html == self._html:
            return
        self._html = html
        shown = HTML(html)  # type: ignore[no-untyped-call]  # IPython leaves its display untyped
        if self._shown is None:
            self._shown = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._shown.update(shown)  # type: ignore[no-untyped-call]

    def end(self) -> None:
        if self._shown is not None:
            self._put("")
