"""A page as a drawing: what is on the screen as SVG, so that the documentation shows the real thing.

A drawing is text: it can be read in a diff, is sharp at any size, and needs no binary file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from playwright.sync_api import Page

_SCRIPT: Final = Path(__file__).with_suffix(".js")


def draw(page: Page, path: Path, label: str) -> None:
    """Write what the page shows into an SVG file; `label` says what it is to those who cannot see it."""
    width, height, content = page.evaluate(_SCRIPT.read_text("utf-8"))
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' font-family="system-ui, sans-serif" role="img" aria-label="{label}">\n'
        "<style>.m{font-family:ui-monospace,monospace;white-space:pre}</style>\n"
        f"{content}\n</svg>\n",
        "utf-8",
    )
