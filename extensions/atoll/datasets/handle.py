"""A dataset in a notebook's hands: what the platform knows of it, and loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atoll.datasets import client, models
from atoll.kit import words
from atoll.kit.notebook import Listing, html_facts, html_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa
    from pydantic import JsonValue

    from atoll.kit.http import Connection


class Schema(list[models.Column]):
    """A dataset's columns; a notebook shows them as a table."""

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self]

    def __repr__(self) -> str:
        return "\n".join(f"{column.name}: {column.type}" for column in self)

    def _repr_html_(self) -> str:
        return html_table(COLUMN_HEADINGS, [column_row(column) for column in self])


class Preview:
    """The first rows of the sample that the platform stores; needs no source and no pandas."""

    def __init__(self, found: models.Preview) -> None:
        self.columns = [column.name for column in found.columns]
        self.rows: list[list[JsonValue]] = found.rows

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        lines = [self.columns, *([cell(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
            for line in lines
        )

    def _repr_html_(self) -> str:
        return html_table(self.columns, [[cell(value) for value in row] for row in self.rows])


class Dataset:
    """A name for data the platform can reach. Only `to_pandas` and `to_arrow` read the source."""

    def __init__(self, connection: Connection, found: models.Dataset) -> None:
        self._connection = connection
        self._found = found

    @property
    def id(self) -> str:
        """The dataset's id."""
        return self._found.id

    @property
    def name(self) -> str:
        """Its name."""
        return self._found.name

    @property
    def description(self) -> str:
        """What its owner says of it."""
        return self._found.description

    @property
    def status(self) -> str:
        """probing, ready, failed, or stale (the source is away; the sample is of an earlier look)."""
        return self._found.status.value

    @property
    def rows(self) -> int | None:
        """How many rows it has; None where counting is not cheap."""
        return self._found.rows

    @property
    def schema(self) -> Schema:
        """Its columns, with types and what the sample says of their values."""
        return Schema(self._found.columns)

    @property
    def partitions(self) -> dict[str, list[str]]:
        """The hive partition columns and their values."""
        return {key.name: key.values for key in self._found.partitions}

    def preview(self, rows: int = 10) -> Preview:
        """Its first rows from the platform's store, at once, whether or not the source lives."""
        return Preview(self._connection.send(client.preview(self.id, rows=rows)))

    def sample(self) -> pd.DataFrame:
        """The sample that the platform stores, as a DataFrame; the source is not read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = self._connection.send(client.sample(self.id))
        frame: pd.DataFrame = pq.read_table(pa.BufferReader(content)).to_pandas()
        return frame

    def to_pandas(
        self,
        columns: Sequence[str] | None = None,
        where: Mapping[str, object] | None = None,
        *,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """All of it as a DataFrame, read from the source; the arguments are those of `to_arrow`."""
        from atoll.datasets import load

        return load.to_pandas(self._access(), columns=columns, where=where, limit=limit)

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        where: Mapping[str, object] | None = None,
        *,
        limit: int | None = None,
    ) -> pa.Table:
        """All of it as an Arrow table, read from the source.

        `columns` reads only those; `where` only the rows with these values, such as `{"month": 3}`
        or `{"month": [1, 2]}`, and of a partitioned dataset only the files that can have them;
        `limit` at most so many rows.
        """
        from atoll.datasets import load

        return load.to_arrow(self._access(), columns=columns, where=where, limit=limit)

    def _access(self) -> models.Access:
        return self._connection.send(client.access(self.id))

    def __repr__(self) -> str:
        return f"<Dataset {' · '.join(filter(None, row(self._found)))}>"

    def _repr_html_(self) -> str:
        facts = html_facts(self.name, described(self._found))
        return facts + self.schema._repr_html_()


HEADINGS: Final = ("Name", "Owner", "Rows", "Columns", "Format", "Status", "Looked at")
COLUMN_HEADINGS: Final = ("Column", "Type", "Missing", "From", "To")


def row(found: models.Dataset) -> tuple[str, ...]:
    """A dataset as a line of a table under HEADINGS."""
    about = "" if found.rows_exact or found.rows is None else "~"
    return (
        found.name,
        found.owner or "platform",
        f"{about}{found.rows:,}" if found.rows is not None else "–",
        str(len(found.columns)) if found.columns else "–",
        found.format or "–",
        found.status.value,
        words.ago(found.probed_at),
    )


def column_row(column: models.Column) -> tuple[str, ...]:
    """A column as a line of a table under COLUMN_HEADINGS."""
    missing = "" if column.missing is None else f"{column.missing * 100:.1f} %"
    return column.name, column.type, missing, column.minimum or "", column.maximum or ""


def described(found: models.Dataset) -> list[tuple[str, str | None]]:
    """A dataset as facts for people."""
    location = found.location
    where = None
    if location is not None:
        where = location.path + (f", table {location.table}" if location.table else "")
    return [
        ("Load", f'atoll.dataset("{reference(found)}").to_pandas()'),
        ("About", found.description),
        ("Status", found.status.value + (f": {found.message}" if found.message else "")),
        ("Owner", found.owner or "platform"),
        ("Rows", row(found)[2]),
        ("Size", words.size(found.size) if found.size is not None else None),
        ("Format", found.format),
        ("Location", where),
        ("Partitions", "; ".join(_partition(key) for key in found.partitions)),
        ("Looked at", words.ago(found.probed_at)),
        ("May use it", ", ".join(found.grants)),
        ("ID", found.id),
    ]


def reference(found: models.Dataset) -> str:
    """How code names the dataset: its name alone where it is the platform's, else `owner:name`."""
    return f"{found.owner}:{found.name}" if found.owner else found.name


def cell(value: JsonValue) -> str:
    """A value in a table of text; nothing where it is missing, floats without their last digits."""
    if isinstance(value, float):
        return repr(float(f"{value:.10g}"))
    return "" if value is None else str(value)


def listing(connection: Connection, found: Iterable[models.Dataset]) -> Listing[Dataset]:
    """Datasets as a list that a notebook shows as a table."""
    return Listing(
        (Dataset(connection, item) for item in found),
        headings=HEADINGS,
        row=lambda dataset: row(dataset._found),
        empty="No datasets yet: add one in the Datasets panel or with `atoll datasets add`.",
    )


def _partition(key: models.PartitionKey) -> str:
    shown = ", ".join(key.values[:5])
    return f"{key.name} ({words.count(len(key.values), 'value')}: {shown}{'…' * (len(key.values) > 5)})"
