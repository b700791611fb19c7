"""The files that a job was given: what they may be called, and the archive in which they are kept.

The service packs them, runners unpack them.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from atoll.kit.errors import InvalidError, TooLargeError

_PATH_MOST: Final = 1000  # bytes
_NAME_MOST: Final = 255  # bytes, as file systems have it
_SHOWN: Final = 80


class File(Protocol):
    """A file as it was at the submission."""

    @property
    def path(self) -> str: ...

    @property
    def content(self) -> bytes: ...

    @property
    def executable(self) -> bool: ...


def clean_folder(text: str) -> str:
    """The notebook's folder among the files, `` for where they begin; raises InvalidError."""
    return "" if text in ("", ".") else clean_path(text)


def clean_path(text: str) -> str:
    """A path that leads to one place below wherever it is unpacked; raises InvalidError."""
    try:
        names = [name.encode() for name in text.split("/")]
    except UnicodeEncodeError as error:
        raise _refused(text, "is no text") from error
    if text.startswith("/"):
        raise _refused(text, "is not relative")
    if any(name in (b"", b".", b"..") for name in names):
        raise _refused(text, "has an empty part, `.` or `..` in it")
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise _refused(text, "has control characters in it")
    if max(map(len, names)) > _NAME_MOST or sum(map(len, names)) + len(names) > _PATH_MOST:
        raise _refused(text, "is too long")
    return text


def check(files: Sequence[File], folder: str, most: int) -> None:
    """Raise InvalidError, TooLargeError unless these can be unpacked, and the notebook's folder made.

    `most` is how many bytes they may have together.
    """
    check_places([file.path for file in files], folder)
    size = sum(len(file.content) for file in files)
    if size > most:
        raise TooLargeError(
            f"The files have {size / 1e6:.1f} MB; {most / 1e6:.1f} MB are allowed.",
            hint="Give fewer files; larger data is read as a dataset, or from a store.",
        )


def check_places(paths: Sequence[str], folder: str) -> None:
    """Raise InvalidError unless each path can be a file's, and there is room for the folder."""
    inside = PurePosixPath(clean_folder(folder))
    folders = {inside, *inside.parents}
    found: set[PurePosixPath] = set()
    for text in paths:
        path = PurePosixPath(clean_path(text))
        if path in found:
            raise InvalidError(f"The file {_shown(text)} was given twice.")
        found.add(path)
        folders.update(path.parents)
    if both := sorted(str(path) for path in found & folders):
        raise InvalidError(f"{_shown(both[0])} was given as a file, and as a folder with files.")


def pack(files: Iterable[File]) -> bytes:
    """The archive of files that were checked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for file in sorted(files, key=lambda file: file.path):
            entry = tarfile.TarInfo(file.path)
            entry.size = len(file.content)
            entry.mode = 0o700 if file.executable else 0o600
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def unpack(archive: bytes, target: Path) -> None:
    """Unpack into a new directory; one that is there is whole, and stays as it is.

    What is in the archive is looked at again, though the service made it: plain files alone are
    written, below the directory alone, and nothing is overwritten.
    """
    if target.is_dir():
        return
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    draft.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as entries:
            for entry in entries:
                path = draft / clean_path(entry.name)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _write(path, _content(entries, entry), 0o700 if entry.mode & 0o100 else 0o600)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def start_in(target: Path, folder: str) -> Path:
    """The notebook's folder among the unpacked files, made where no file lies in it."""
    path = target / clean_folder(folder)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _content(entries: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = entries.extractfile(entry) if entry.isreg() else None
    if file is None:
        raise _refused(entry.name, "is no plain file")
    return file.read()


def _write(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)


def _refused(text: str, why: str) -> InvalidError:
    return InvalidError(f"The path {_shown(text)} {why}.")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
