"""Calls about datasets, for the SDK, the command line and the lab."""

from __future__ import annotations

from urllib.parse import quote

from atoll.datasets.models import (
    Access,
    Dataset,
    DatasetChange,
    DatasetRequest,
    GrantRequest,
    Preview,
)
from atoll.kit.http import Call
from atoll.kit.paging import Page


def datasets(
    *, name: str | None = None, cursor: str | None = None, limit: int = 50
) -> Call[Page[Dataset]]:
    """The datasets that the caller may use, newest first; `name` is what names contain."""
    params: dict[str, str | int | bool] = {"limit": limit}
    if name is not None:
        params["name"] = name
    if cursor is not None:
        params["cursor"] = cursor
    return Call("GET", "datasets", Page[Dataset], params=params)


def add(request: DatasetRequest) -> Call[Dataset]:
    """Register a dataset; it is probed at once."""
    return Call("POST", "datasets", Dataset, body=request)


def dataset(ref: str) -> Call[Dataset]:
    """One dataset: by its id, by `name` (own, then the platform's, then granted), or `owner:name`."""
    return Call("GET", _dataset(ref), Dataset)


def preview(ref: str, *, rows: int | None = None) -> Call[Preview]:
    """The first rows of the stored sample, whether or not the source lives."""
    params: dict[str, str | int | bool] = {} if rows is None else {"rows": rows}
    return Call("GET", f"{_dataset(ref)}/preview", Preview, params=params)


def sample(ref: str) -> Call[bytes]:
    """The stored sample as a Parquet file."""
    return Call("GET", f"{_dataset(ref)}/sample", bytes)


def access(ref: str) -> Call[Access]:
    """How to read the source directly; where a job asks, the read is recorded."""
    return Call("GET", f"{_dataset(ref)}/access", Access)


def change(ref: str, request: DatasetChange) -> Call[Dataset]:
    """Say anew where the source is and how it is read; it is probed at once."""
    return Call("PATCH", _dataset(ref), Dataset, body=request)


def probe(ref: str) -> Call[Dataset]:
    """Have the source looked at again."""
    return Call("POST", f"{_dataset(ref)}/probe", Dataset)


def grant(ref: str, request: GrantRequest) -> Call[Dataset]:
    """Say who besides the owner may use the dataset; replaces the list."""
    return Call("PUT", f"{_dataset(ref)}/grants", Dataset, body=request)


def remove(ref: str) -> Call[None]:
    """Remove the dataset with its sample; the source is left alone."""
    return Call("DELETE", _dataset(ref), type(None))


def _dataset(ref: str) -> str:
    return f"datasets/{quote(ref, safe='')}"
