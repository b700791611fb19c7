"""How a dataset's row crosses the wire."""

from __future__ import annotations

from atoll.datasets.models import Access, Dataset, Location
from atoll.datasets.store import DatasetRow
from atoll.kit.hub import Caller


def dataset_view(row: DatasetRow, grants: list[str], caller: Caller) -> Dataset:
    """The dataset as the caller may see it: of the grants, others see those that concern them."""
    manages = row.owner == caller.name or caller.admin
    return Dataset.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "owner": row.owner,
            "description": row.description,
            "format": row.format or row.wanted_format,
            "location": row.location,
            "status": row.status,
            "reason": row.reason,
            "message": row.message,
            "columns": row.columns,
            "partitions": row.partitions,
            "rows": row.rows,
            "rows_exact": row.rows_exact,
            "size": row.size,
            "source_modified_at": row.source_modified_at,
            "probed_at": row.probed_at,
            "created_at": row.created_at,
            "grants": grants if manages else [one for one in grants if one in caller.principals],
        }
    )


def access_view(row: DatasetRow) -> Access:
    """How the source of a dataset that was probed once is read."""
    location = Location.model_validate(row.location)
    return Access.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "format": row.format,
            "location": location.model_copy(update={"options": row.options}),
            "columns": row.columns,
            "partitions": row.partitions,
            "types_exact": row.rows_exact,
        }
    )
