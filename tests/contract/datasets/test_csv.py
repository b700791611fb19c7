"""The CSV reader: the contract of all readers, and what text tables have of their own."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from atoll.datasets.models import Location
from atoll.datasets.readers import Desk, Found, Reader
from atoll.datasets.readers.csv import CsvReader
from atoll.datasets.source import Source, SourceError
from pydantic import JsonValue

from .readers_suite import ROWS, TYPES, ReaderSuite


def text(rows: Sequence[tuple[object, ...]], delimiter: str = ",") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([tuple(TYPES), *rows])
    return file.getvalue()


class TestCsv(ReaderSuite):
    format = "csv"

    def write(self, folder: Path, rows: Sequence[tuple[object, ...]]) -> Location:
        path = folder / "table.csv"
        path.write_text(text(rows), "utf-8")
        return Location(path=str(path))

    def damage(self, path: Path) -> None:
        path.write_bytes(b"a,b\n1,\x00\x00\xff\n")

    @pytest.mark.parametrize("ending", [".gz", ".zip"])
    def test_packed_text_is_read_as_the_text(
        self, reader: Reader, desk: Desk, folder: Path, ending: str
    ) -> None:
        path, content = folder / f"table.csv{ending}", text(ROWS).encode()
        if ending == ".gz":
            path.write_bytes(gzip.compress(content))
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("__MACOSX/._table.csv", b"\x00")
                archive.writestr("table.csv", content)
        assert self._read(reader, desk, path) == ROWS

    @pytest.mark.parametrize("ending", [".gz", ".zip"])
    def test_packed_text_that_is_cut_off_is_refused(
        self, reader: Reader, desk: Desk, folder: Path, ending: str
    ) -> None:
        path = folder / f"table.csv{ending}"
        dice = random.Random(1)
        content = text([(n, "x", dice.random()) for n in range(100_000)]).encode()
        if ending == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("table.csv", content)
            packed = path.read_bytes()
        else:
            packed = gzip.compress(content)
        path.write_bytes(packed[: len(packed) // 2])
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path)
        assert refused.value.reason in ("corrupt", "malformed")
        assert path.name in refused.value.detail

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_other_delimiters_are_found_out(
        self, reader: Reader, desk: Desk, folder: Path, delimiter: str
    ) -> None:
        path = folder / "table.csv"
        path.write_text(text(ROWS, delimiter), "utf-8")
        assert self._read(reader, desk, path) == ROWS

    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
    def test_an_encoding_that_is_said_is_read(
        self, reader: Reader, desk: Desk, folder: Path, encoding: str
    ) -> None:
        path = folder / "table.csv"
        path.write_text(text(ROWS), encoding)
        assert self._read(reader, desk, path, {"encoding": encoding}) == ROWS

    def test_utf_16_with_a_mark_and_utf_8_with_a_mark_need_not_be_said(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        for encoding in ("utf-8-sig", "utf-16"):
            path = folder / f"{encoding}.csv"
            path.write_text(text(ROWS), encoding)
            assert self._read(reader, desk, path) == ROWS
            assert list(self._look(reader, desk, path).types) == list(TYPES)

    def test_a_byte_that_is_no_utf_8_is_named_with_its_line(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_bytes(b"a,b\n" + b"1,x\n" * 50_000 + "2,café\n".encode("latin-1"))
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path)
        assert refused.value.reason == "encoding"
        assert "Line 50002" in refused.value.detail
        assert "0xE9" in refused.value.detail
        assert "encoding=latin-1" in str(refused.value.hint)

    @pytest.mark.parametrize("bad", ["1", "1,2,3", '1,"2",3,4'])
    @pytest.mark.parametrize("after", [0, 60_000])
    def test_a_ragged_row_is_named_with_its_line(
        self, reader: Reader, desk: Desk, folder: Path, bad: str, after: int
    ) -> None:
        path = folder / "table.csv"
        path.write_text("a,b\n" + "1,2\n" * after + f"{bad}\n3,4\n", "utf-8")
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path)
        assert refused.value.reason == "ragged"
        assert f"Line {after + 2} of table.csv" in refused.value.detail

    def test_the_line_is_right_after_fields_with_line_breaks(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text('a,b\n"x\ny\nz",2\n1,2,3\n', "utf-8")
        with pytest.raises(SourceError, match="Line 5 "):
            self._look(reader, desk, path)

    def test_ragged_rows_are_left_out_where_that_is_said(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text("a,b\n1,2\n3\n4,5,6\n7,8\n", "utf-8")
        assert self._read(reader, desk, path, {"skip_bad_rows": True}) == [(1, 2), (7, 8)]

    def test_an_open_quote_is_named_with_its_line(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text('a,b\n1,2\n3,"4\n5,6\n', "utf-8")
        with pytest.raises(SourceError, match="Line 3 "):
            self._look(reader, desk, path)

    def test_a_type_that_only_the_last_row_breaks_is_no_number(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text("a,b\n" + "1,2\n" * 200_000 + "x,2.5\n", "utf-8")
        assert self._look(reader, desk, path).types == {"a": "VARCHAR", "b": "DOUBLE"}

    def test_dates_numbers_and_what_is_missing(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text("day,at,seen,n\n2026-01-31,2026-01-31 10:00:00,true,NA\n,,,7\n", "utf-8")
        found = self._look(reader, desk, path)
        assert found.types == {
            "day": "DATE", "at": "TIMESTAMP", "seen": "BOOLEAN", "n": "BIGINT",
        }  # fmt: skip
        rows = self._read(reader, desk, path)
        assert rows[1] == (None, None, None, 7)

    def test_days_written_the_german_way_load_as_they_were_found(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = folder / "table.csv"
        path.write_text("day;n\n31.01.2026;1\n01.02.2026;2\n", "utf-8")
        rows = self._read(reader, desk, path, {"date_format": "%d.%m.%Y"})
        assert [str(day) for day, _ in rows] == ["2026-01-31", "2026-02-01"]

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("empty.csv", b"", "empty"),
            ("blank.csv", b"\n\n\n", "empty"),
            ("picture.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00", "not_text"),
            ("cut.csv.gz", b"\x1f\x8b\x08", "corrupt"),
            ("no.csv.zip", b"PK\x03\x04", "corrupt"),
        ],
    )
    def test_what_is_no_table_is_refused(
        self, desk: Desk, folder: Path, name: str, content: bytes, reason: str
    ) -> None:
        reader = CsvReader()
        path = folder / name
        path.write_bytes(content)
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path)
        assert refused.value.reason == reason

    def test_a_bomb_ends_at_the_limit(self, reader: Reader, desk: Desk, folder: Path) -> None:
        path = folder / "bomb.csv.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.csv", b"a,b\n" + b"1,2\n" * (20 << 20))
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path)
        assert refused.value.reason == "too_large"

    def test_which_of_several_files_is_said(self, reader: Reader, desk: Desk, folder: Path) -> None:
        path = folder / "two.csv.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.csv", "a\n1\n")
            archive.writestr("two.csv", "a\n2\n")
        with pytest.raises(SourceError, match="holds 2 files") as refused:
            self._look(reader, desk, path)
        assert "one.csv, two.csv" in str(refused.value.hint)
        assert self._read(reader, desk, path, {"member": "two.csv"}) == [(2,)]

    @pytest.mark.parametrize(
        "options",
        [{"delimiter": 1}, {"delimiter": "ab"}, {"header": "no"}, {"encoding": "klingon"},
         {"missing": "NA"}, {"quote": ["'"]}],
    )  # fmt: skip
    def test_an_option_of_a_wrong_kind_is_refused(
        self, reader: Reader, desk: Desk, folder: Path, options: dict[str, JsonValue]
    ) -> None:
        path = folder / "table.csv"
        path.write_text(text(ROWS), "utf-8")
        with pytest.raises(SourceError) as refused:
            self._look(reader, desk, path, options)
        assert refused.value.reason == "options"

    def _look(
        self,
        reader: Reader,
        desk: Desk,
        path: Path,
        options: dict[str, JsonValue] | None = None,
    ) -> Found:
        for left in desk.scratch.iterdir():
            left.unlink()
        location = Location(path=str(path), options=options or {})
        return reader.look(Source.at(path), location, desk)

    def _read(
        self,
        reader: Reader,
        desk: Desk,
        path: Path,
        options: dict[str, JsonValue] | None = None,
    ) -> list[tuple[object, ...]]:
        found = self._look(reader, desk, path, options)
        location = Location(path=str(path), options=found.options)
        table = reader.scan(Source.at(path), location, found.types, desk)
        return desk.engine.execute(f"FROM {table}").fetchall()

    def test_a_folder_is_refused_in_a_sentence(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        self.write(folder, ROWS)
        with pytest.raises(SourceError, match="is a folder; as csv") as refused:
            reader.look(Source.at(folder), Location(path=str(folder)), desk)
        assert refused.value.reason == "folder"
