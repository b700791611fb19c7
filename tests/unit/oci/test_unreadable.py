"""What a machine cannot read at the moment is never left out of a layer as if it had not been there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from atoll.oci import directory, overlay, partial, stack
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import UnreadableError
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.source import Source
from atoll.oci.stack import Stack

SOURCES = [DirectorySource, lambda upper: OverlaySource(upper, ())]


def fails(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """With a directory, a file, and one that is read in pieces."""
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "d" / "file").write_text("content")
    with (upper / "d" / "holes").open("wb") as file:
        file.truncate(1 << 20)
    return upper


@pytest.mark.parametrize("source", SOURCES)
def test_the_attributes_of_a_directory(
    source: Callable[[Path], Source], upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them is that it hides what lower ones have: without it what was deleted is back."""
    for module in (directory, overlay):
        monkeypatch.setattr(module, "opened_directory", fails)
    with pytest.raises(UnreadableError, match="/d cannot be read from the disk"):
        list(source(upper).entries())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("what", ["names_of", "open_file"])
def test_a_file_or_its_attributes(
    source: Callable[[Path], Source], what: str, upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = directory.names_of

    def of_directories_alone(descriptor: int) -> list[str]:
        return real(descriptor) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else fails()

    monkeypatch.setattr(directory, what, of_directories_alone if what == "names_of" else fails)
    with pytest.raises(UnreadableError, match="/d/file cannot be read from the disk"):
        list(source(upper).entries())


def test_the_content_of_a_file(
    upper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sector that is bad, say: its path is told."""

    def first_piece_alone(*_: object, **__: object) -> Iterator[bytes]:
        yield b"0"
        fails()

    monkeypatch.setattr(directory, "pieces", first_piece_alone)
    with pytest.raises(UnreadableError, match="/d/holes cannot be read from the disk"):
        write_layer(DirectorySource(upper), LayoutStore(tmp_path / "store"))


def test_a_directory_of_the_cut(upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something happened since the pass before: that is looked at alone."""
    before = OverlaySource(upper, ())
    list(before.entries())
    (upper / "d" / "new").write_text("written meanwhile")
    real = os.open

    def opened(path: str | bytes, *arguments: int, dir_fd: int | None = None) -> int:
        return fails() if path == b"d" else real(path, *arguments, dir_fd=dir_fd)

    def cut() -> list[bytes]:
        source = OverlaySource(upper, (), since=before.index(), only={b"d"})
        return [entry.path for entry in source.entries()]

    assert cut() == [b"d", b"d/new"]
    monkeypatch.setattr(partial.os, "open", opened)
    with pytest.raises(UnreadableError, match="/d cannot be read from the disk"):
        cut()


def test_a_layer_of_a_stack(upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack.os, "scandir", fails)
    with pytest.raises(UnreadableError, match="cannot be read from the disk"):
        list(Stack(upper, (), ()).differences())
