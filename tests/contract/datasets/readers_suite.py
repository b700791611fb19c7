"""What every reader must pass: subclass `ReaderSuite` and say how a table is written in the format."""

# ruff: noqa: S608  # no foreign text in these queries

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from atoll.datasets import sample
from atoll.datasets.engine import connected
from atoll.datasets.models import Column, Location
from atoll.datasets.readers import Bounds, Desk, Found, Reader, format_of, reader_for
from atoll.datasets.readers.reader import HEAD, SAMPLE, SPREAD
from atoll.datasets.source import Source, SourceError

ROWS = [(1, "ä,b", 0.5), (2, None, None), (None, 'quote " and\nline', -1e300)]
"""Rows of columns number BIGINT, text VARCHAR, real DOUBLE."""

TYPES = {"number": "BIGINT", "text": "VARCHAR", "real": "DOUBLE"}
MIB = 1 << 20


class ReaderSuite(ABC):
    """The contract of readers."""

    format: ClassVar[str]

    @abstractmethod
    def write(self, folder: Path, rows: Sequence[tuple[object, ...]]) -> Location:
        """Write rows of the columns in TYPES, as a source of this format."""

    @abstractmethod
    def damage(self, path: Path) -> None:
        """Damage what was written so that it cannot be read."""

    @pytest.fixture
    def reader(self) -> Reader:
        return reader_for(self.format)

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Desk:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return Desk(connected(), scratch, Bounds(64 * MIB, 1000, 64 * MIB))

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        # A place whose name would mean something to shells, SQL, globs, URIs and hive.
        folder = tmp_path / "a b'c [x] {y} *? 100%20 #é"
        folder.mkdir()
        return folder

    def test_columns_types_and_rows_are_found(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        _, _, found = self._looked(reader, desk, folder, ROWS)

        assert found.types == TYPES
        assert (found.rows, found.rows_exact) == (len(ROWS), True)

    def test_the_format_is_recognised(self, folder: Path) -> None:
        location = self.write(folder, ROWS)
        assert format_of(Source.at(Path(location.path))) == self.format

    def test_a_scan_gives_all_rows_in_order(self, reader: Reader, desk: Desk, folder: Path) -> None:
        assert self._scanned(reader, desk, folder, ROWS) == ROWS

    def test_many_rows_keep_their_order(self, reader: Reader, desk: Desk, folder: Path) -> None:
        rows = [(number, f"row {number}", number / 2) for number in range(30_000)]
        assert self._scanned(reader, desk, folder, rows) == rows

    def test_a_small_source_is_its_own_sample(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        assert self._sampled(reader, desk, folder, ROWS) == ROWS

    def test_a_sample_is_the_beginning_and_rows_spread_over_the_rest(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        rows = [(number, "x", 1.5) for number in range(20_000)]
        numbers = [row[0] for row in self._sampled(reader, desk, folder, rows)]

        assert numbers[:HEAD] == list(range(HEAD))
        assert 900 <= len(numbers) <= 1000 + HEAD
        assert numbers == sorted(set(numbers))
        spread = desk.engine.execute(f"SELECT number FROM {SAMPLE} WHERE {SPREAD}").fetchall()
        steps = {after[0] - before[0] for before, after in itertools.pairwise(spread)}
        assert len(steps) == 1  # every part of the source counts alike
        assert spread[-1][0] > 19_900

    def test_a_source_too_large_to_be_read_through_is_sampled_from_its_beginning(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        small = Desk(desk.engine, desk.scratch, Bounds(1000, 1000, 64 * MIB))
        rows = [(number, "some words", 1.5) for number in range(20_000)]
        location = self.write(folder, rows)
        source = Source.at(Path(location.path))
        found = reader.look(source, location, small)
        reader.sample(source, location, found, small)

        assert found.types == TYPES
        assert found.rows is None or found.rows_exact or abs(found.rows - 20_000) < 1000
        numbers = desk.engine.execute(f"SELECT number FROM {SAMPLE}").fetchall()
        assert [row[0] for row in numbers] == list(range(1000))

    def test_statistics_say_what_the_values_are(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        rows = [(number, None if number % 4 else "w", 2.5) for number in range(160)]
        self._sampled(reader, desk, folder, rows)

        assert sample.statistics(desk.engine, TYPES) == [
            Column(name="number", type="BIGINT", missing=0, minimum="0", maximum="159",
                   histogram=[10] * 16),
            Column(name="text", type="VARCHAR", missing=0.75, minimum="w", maximum="w"),
            Column(name="real", type="DOUBLE", missing=0, minimum="2.5", maximum="2.5",
                   histogram=[160]),
        ]  # fmt: skip

    def test_a_source_without_rows_has_columns(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        source, location, found = self._looked(reader, desk, folder, [])
        reader.sample(source, location, found, desk)

        assert list(found.types) == list(TYPES)
        assert found.rows == 0
        columns = sample.statistics(desk.engine, found.types)
        assert [column.missing for column in columns] == [None] * 3

    def test_a_damaged_source_is_refused_with_its_name_and_a_hint(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        location = self.write(folder, ROWS)
        path = Path(location.path)
        self.damage(path)
        with pytest.raises(SourceError) as refused:
            reader.look(Source.at(path), location, desk)

        assert path.name in refused.value.detail
        assert refused.value.hint

    def test_an_option_that_is_none_of_the_readers_is_refused(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        location = self.write(folder, ROWS)
        wrong = location.model_copy(update={"options": {"colour": "blue"}})
        with pytest.raises(SourceError, match="colour") as refused:
            reader.look(Source.at(Path(location.path)), wrong, desk)
        assert refused.value.reason == "options"

    def _looked(
        self, reader: Reader, desk: Desk, folder: Path, rows: Sequence[tuple[object, ...]]
    ) -> tuple[Source, Location, Found]:
        location = self.write(folder, rows)
        source = Source.at(Path(location.path))
        return source, location, reader.look(source, location, desk)

    def _scanned(
        self, reader: Reader, desk: Desk, folder: Path, rows: Sequence[tuple[object, ...]]
    ) -> list[tuple[object, ...]]:
        source, location, found = self._looked(reader, desk, folder, rows)
        again = location.model_copy(update={"options": found.options})
        table = reader.scan(source, again, found.types, desk)
        return desk.engine.execute(f"FROM {table}").fetchall()

    def _sampled(
        self, reader: Reader, desk: Desk, folder: Path, rows: Sequence[tuple[object, ...]]
    ) -> list[tuple[object, ...]]:
        source, location, found = self._looked(reader, desk, folder, rows)
        reader.sample(source, location, found, desk)
        return desk.engine.execute(f"SELECT * EXCLUDE ({SPREAD}) FROM {SAMPLE}").fetchall()
