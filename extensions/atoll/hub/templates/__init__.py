"""The hub's pages that differ from JupyterHub's own; each extends the original of its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

FOLDER: Final = Path(__file__).parent


@cache
def template(name: str) -> Template:
    """A template of this folder that needs nothing of JupyterHub's."""
    loader = FileSystemLoader(FOLDER)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)
