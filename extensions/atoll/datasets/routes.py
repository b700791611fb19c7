"""The HTTP side of datasets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, BinaryIO, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from atoll.datasets.models import (
    Access,
    Dataset,
    DatasetChange,
    DatasetRequest,
    GrantRequest,
    Preview,
)
from atoll.datasets.service import Datasets
from atoll.kit.paging import Page
from atoll.kit.web import Cursor, Limit, User

router = APIRouter(prefix="/api/v1", tags=["datasets"])

_PIECE: Final = 1 << 20
_PARQUET: Final = "application/vnd.apache.parquet"


def _of_app(request: Request) -> Datasets:
    datasets: Datasets = request.app.state.datasets
    return datasets


Rules = Annotated[Datasets, Depends(_of_app)]
Rows = Annotated[int, Query(ge=1, le=10_000, description="rows at most")]
Part = Annotated[
    str | None,
    Query(max_length=63, pattern=r"^[^\x00]*$", description="a part of the datasets' names"),
]


@router.get("/datasets")
def list_datasets(
    rules: Rules, caller: User, *, name: Part = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[Dataset]:
    """The datasets that the caller may use, newest first."""
    return rules.page(caller, name, cursor, limit)


@router.post("/datasets", status_code=201)
def add_dataset(rules: Rules, caller: User, body: DatasetRequest) -> Dataset:
    """Register a dataset; it is probed at once."""
    return rules.add(caller, body)


@router.get("/datasets/{ref}")
def show_dataset(rules: Rules, caller: User, ref: str) -> Dataset:
    """One dataset: `ref` is an id, `name` (own, then the platform's, then granted) or `owner:name`."""
    return rules.show(caller, ref)


@router.patch("/datasets/{ref}")
def change_dataset(rules: Rules, caller: User, ref: str, body: DatasetChange) -> Dataset:
    """Say anew where the source is and how it is read; it is probed at once."""
    return rules.change(caller, ref, body)


@router.get("/datasets/{ref}/preview", response_class=Response, responses={200: {"model": Preview}})
def preview_dataset(rules: Rules, caller: User, ref: str, rows: Rows = 100) -> Response:
    """The first rows of the stored sample, from the platform's store alone."""
    return Response(rules.preview(caller, ref, rows), media_type="application/json")


@router.get(
    "/datasets/{ref}/sample",
    response_class=Response,
    responses={200: {"content": {_PARQUET: {"schema": {"type": "string", "format": "binary"}}}}},
)
def download_sample(rules: Rules, caller: User, ref: str) -> StreamingResponse:
    """The stored sample, a Parquet file."""
    file = rules.sample(caller, ref)
    size = os.fstat(file.fileno()).st_size
    headers = {"Content-Length": str(size)}
    return StreamingResponse(_pieces(file), media_type=_PARQUET, headers=headers)


@router.get("/datasets/{ref}/access")
def access_dataset(rules: Rules, caller: User, ref: str) -> Access:
    """How to read the source directly; where a job asks, the read is recorded."""
    return rules.access(caller, ref)


@router.post("/datasets/{ref}/probe", status_code=202)
def probe_dataset(rules: Rules, caller: User, ref: str) -> Dataset:
    """Have the source looked at again."""
    return rules.probe(caller, ref)


@router.put("/datasets/{ref}/grants")
def grant_dataset(rules: Rules, caller: User, ref: str, body: GrantRequest) -> Dataset:
    """Say who besides the owner may use the dataset."""
    return rules.grant(caller, ref, body)


@router.delete("/datasets/{ref}", status_code=204)
def remove_dataset(rules: Rules, caller: User, ref: str) -> None:
    """Remove the dataset with its sample; the source is left alone."""
    rules.remove(caller, ref)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
