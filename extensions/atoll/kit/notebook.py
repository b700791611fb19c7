"""How things look in a notebook's output: tables and facts as HTML, every text escaped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Generic, TypeVar

T = TypeVar("T")


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; text is escaped."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_facts(title: str, pairs: Iterable[tuple[str, str | None]]) -> str:
    """A thing and what is known of it; facts that are None or empty are left out; text is escaped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in pairs
        if value
    )
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


class Listing(list[T], Generic[T]):
    """A list that shows itself as a table in a notebook."""

    def __init__(
        self,
        items: Iterable[T],
        *,
        headings: Sequence[str],
        row: Callable[[T], Sequence[str]],
        empty: str,
    ) -> None:
        super().__init__(items)
        self._headings, self._row, self._empty = headings, row, empty

    def _repr_html_(self) -> str:
        if not self:
            return f"<em>{escape(self._empty)}</em>"
        return html_table(self._headings, [self._row(item) for item in self])


class Text(str):
    """A text that a notebook shows as it is, line by line, rather than quoted."""

    __slots__ = ()

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        write = getattr(printer, "text", sys.stdout.write)
        write("…" if cycle else str(self))


def in_notebook() -> bool:
    """Whether this process is a kernel, so that output is a cell's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
