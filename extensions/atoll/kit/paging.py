"""Pages: how every list crosses the wire."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")

MAX_PAGE = 200
"""Most items on a page; a client that wants more follows `next`."""


class Page(BaseModel, Generic[T]):
    """One page of a list, newest first; `next` is the cursor of the following page, if any."""

    items: list[T]
    next: str | None = None
