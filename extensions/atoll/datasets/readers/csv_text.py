"""The text of a CSV source, unpacked and in UTF-8; and finding the line that is wrong in it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from pydantic import JsonValue

from atoll.datasets.source import Source, SourceError

_START: Final = 1 << 18  # bytes looked at for delimiter and header
_PIECE: Final = 1 << 20
_FIELD_MOST: Final = 1 << 27
_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_GUESSES: Final = "latin-1, cp1252, utf-16, shift_jis"


@dataclass(frozen=True, slots=True)
class Text:
    """A text file that DuckDB can read: UTF-8, packed as `packed` says (none, gzip)."""

    name: str
    readable: str
    packed: str
    encoding: str  # what the source itself is in
    size: int  # bytes; of what is packed, an estimate of the text

    def open(self) -> IO[bytes]:
        """The text's bytes, unpacked."""
        if self.packed == "gzip":
            return cast("IO[bytes]", gzip.open(self.readable, "rb"))
        return open(self.readable, "rb")  # noqa: PTH123  # a descriptor's path

    def start(self) -> str:
        """The beginning of the text, up to the end of a line. Raises SourceError where it is bad."""
        try:
            with self.open() as file:
                piece = file.read(_START)
        except (OSError, EOFError, ValueError) as error:
            raise _broken(self.name, error) from error
        if len(piece) == _START:
            piece = piece[: piece.rfind(b"\n") + 1 or None]
        return piece.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def prepared(source: Source, options: Mapping[str, JsonValue], scratch: Path, most: int) -> Text:
    """The source's text, unpacked or rewritten in the scratch folder where DuckDB cannot do it.

    `most` bytes may be written. Raises SourceError.
    """
    name = source.path.name
    encoding = _encoding(options)
    readable, packed = source.readable, "none"
    if name.lower().endswith(".zip"):
        target = scratch / "unpacked.csv"
        if not target.exists():
            _unzip(source, options, target, most)
        readable = str(target)
    elif name.lower().endswith(".gz"):
        packed = "gzip"
    size = source.size if readable == source.readable else Path(readable).stat().st_size
    text = Text(name, readable, packed, encoding, size * (1 if packed == "none" else 8))
    if encoding == "utf-8":
        encoding = _marked(text)
    if encoding in ("utf-8", "utf-8-sig", "ascii"):
        return text
    rewritten = scratch / "utf8.csv"
    if not rewritten.exists():
        _rewrite(text, encoding, rewritten, most)
    return Text(name, str(rewritten), "none", encoding, rewritten.stat().st_size)


def check(text: Text, delimiter: str, quote: str, *, lenient: bool) -> None:
    """Find what is wrong in the text; raises SourceError that names the line, or returns."""
    csv.field_size_limit(_FIELD_MOST)
    lines = _lines(text)
    rows = csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=True,
    )
    wanted, before = 0, 0
    try:
        with closing(lines):
            for row in rows:
                first, before = before + 1, rows.line_num
                if not row:
                    continue
                wanted = wanted or len(row)
                if len(row) != wanted and not lenient:
                    raise SourceError(
                        "ragged",
                        f"Line {first} of {text.name} has {len(row)} fields where the first row has"
                        f" {wanted}.",
                        hint="Correct the line, or say the option delimiter=… if fields are divided by"
                        " something else; skip_bad_rows=true leaves such rows out.",
                    )
    except csv.Error as error:
        raise SourceError(
            "malformed",
            f"Line {before + 1} of {text.name} begins a row that cannot be read: {error}.",
            hint="Correct the quotes there, or say the option quote= (with nothing after it) if"
            " none are used.",
        ) from error
    except (OSError, EOFError) as error:
        raise _broken(text.name, error) from error


def _lines(text: Text) -> Generator[str, None, None]:
    """The lines of a text, decoded one by one, so that a byte that is wrong is found in its line."""
    with text.open() as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(
                    "encoding",
                    f"Line {number} of {text.name} is not UTF-8: byte"
                    f" 0x{line[error.start]:02X} at position {error.start + 1}.",
                    hint="Say its encoding, for example by the option encoding=latin-1; common"
                    f" ones: {_GUESSES}.",
                ) from error


def _encoding(options: Mapping[str, JsonValue]) -> str:
    said = options.get("encoding", "utf-8")
    try:
        return codecs.lookup(str(said)).name
    except LookupError as error:
        raise SourceError(
            "options",
            f"There is no encoding {said!r}.",
            hint=f"Common ones: utf-8, {_GUESSES}.",
        ) from error


def _marked(text: Text) -> str:
    """The encoding that a mark at the text's beginning tells, else UTF-8."""
    try:
        with text.open() as file:
            start = file.read(4)
    except (OSError, EOFError, ValueError) as error:
        raise _broken(text.name, error) from error
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8")


def _unzip(source: Source, options: Mapping[str, JsonValue], target: Path, most: int) -> None:
    try:
        with zipfile.ZipFile(source.readable) as archive:
            members = [one for one in archive.infolist() if _is_data(one)]
            wanted = options.get("member")
            chosen = [one for one in members if wanted is None or one.filename == wanted]
            if len(chosen) != 1:
                names = ", ".join(one.filename for one in members[:10]) or "none"
                raise SourceError(
                    "members",
                    f"{source.path.name} holds {len(members)} files; one is wanted.",
                    hint=f"Say which by the option member=… There are: {names}.",
                )
            with archive.open(chosen[0]) as packed:
                _copy(packed, target, source.path.name, most)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _broken(source.path.name, error) from error


def _is_data(member: zipfile.ZipInfo) -> bool:
    """Not a folder, and none of what macOS adds to archives."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(member.filename).parts)
    return not member.is_dir() and not hidden


def _copy(packed: IO[bytes], target: Path, name: str, most: int) -> None:
    written = 0
    with target.open("wb") as file:
        while piece := packed.read(_PIECE):
            written += len(piece)
            if written > most:
                raise _too_large(name, most)
            file.write(piece)


def _rewrite(text: Text, encoding: str, target: Path, most: int) -> None:
    written = 0
    try:
        with (
            text.open() as packed,
            io.TextIOWrapper(packed, encoding=encoding, newline="") as decoded,
            target.open("w", encoding="utf-8", newline="") as file,
        ):
            while piece := decoded.read(_PIECE):
                written += len(piece)
                if written > most:
                    raise _too_large(text.name, most)
                file.write(piece.lstrip("\ufeff") if written == len(piece) else piece)
    except UnicodeError as error:
        raise SourceError(
            "encoding",
            f"{text.name} is not {encoding}: {error}.",
            hint=f"Say another encoding; common ones: utf-8, {_GUESSES}.",
        ) from error
    except (OSError, EOFError) as error:
        raise _broken(text.name, error) from error


def _too_large(name: str, most: int) -> SourceError:
    return SourceError(
        "too_large",
        f"{name} is larger than {most >> 20:,} MiB when it is unpacked.",
        hint="Store it as Parquet; an administrator may raise `probe_disk_mb` in [datasets].",
    )


def _broken(name: str, error: Exception) -> SourceError:
    return SourceError(
        "corrupt",
        f"{name} cannot be unpacked: {error}.",
        hint="It may have been copied only in part: write it again.",
    )
