"""The files of a job, packed and unpacked; and archives that nobody should make."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from atoll.jobs import bundle
from atoll.jobs.models import CapturedFile
from atoll.kit.errors import InvalidError, TooLargeError
from hypothesis import given
from hypothesis import strategies as st


def file(path: str, content: bytes = b"x", *, executable: bool = False) -> CapturedFile:
    return CapturedFile(path=path, content=content, executable=executable)


def test_what_was_packed_is_unpacked_as_it_was(tmp_path: Path) -> None:
    files = [file("a/é b.csv", b"\0\xff"), file("run.sh", executable=True), file("a/b/empty", b"")]
    archive = bundle.pack(files)
    assert archive == bundle.pack(reversed(files)), "the same files are the same archive"

    bundle.unpack(archive, tmp_path / "work")

    found = {
        str(path.relative_to(tmp_path / "work")): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in (tmp_path / "work").rglob("*")
        if path.is_file()
    }
    assert found == {
        "a/é b.csv": (b"\0\xff", 0o600),
        "run.sh": (b"x", 0o700),
        "a/b/empty": (b"", 0o600),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


def test_what_was_unpacked_and_worked_in_stays_as_it_is(tmp_path: Path) -> None:
    archive = bundle.pack([file("a")])
    bundle.unpack(archive, tmp_path / "work")
    (tmp_path / "work/a").write_text("changed by the job")
    bundle.unpack(archive, tmp_path / "work")
    assert (tmp_path / "work/a").read_text() == "changed by the job"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "./a", "a//b", "a/", "", "a\0b", "a\nb",
     "\x7f", "x" * 256, "é" * 128, "/".join(["x"] * 501), "\udcff"],
)  # fmt: skip
def test_paths_that_lead_elsewhere_or_nowhere_are_refused(path: str) -> None:
    with pytest.raises(InvalidError):
        bundle.check([file("good"), CapturedFile.model_construct(path=path, content=b"")], "", 10)


@given(st.text(max_size=40))
def test_a_path_that_is_let_in_stays_below(path: str) -> None:
    try:
        bundle.clean_path(path)
    except InvalidError:
        return
    place = Path("/work") / path
    assert place.is_relative_to("/work")
    assert ".." not in place.parts
    assert place != Path("/work")


@pytest.mark.parametrize(
    ("paths", "folder", "words"),
    [
        (["a", "a"], "", "given twice"),
        (["a", "a/b"], "", "as a file, and as a folder"),
        (["a/b", "a/b/c/d"], "", "as a file, and as a folder"),
        (["work"], "work", "as a file, and as a folder"),
        (["work"], "work/deep", "as a file, and as a folder"),
        (["a"], "../elsewhere", "`..`"),
        (["a"], "/elsewhere", "not relative"),
    ],
)
def test_files_that_cannot_lie_together_are_refused(
    paths: list[str], folder: str, words: str
) -> None:
    with pytest.raises(InvalidError, match=words):
        bundle.check([file(path) for path in paths], folder, 100)


def test_more_than_the_operator_allows_is_refused_with_the_numbers() -> None:
    files = [file("a", b"x" * 600_000), file("b", b"x" * 600_000)]
    bundle.check(files, ".", 1_200_000)
    with pytest.raises(TooLargeError, match=r"have 1\.2 MB; 1\.0 MB are allowed"):
        bundle.check(files, ".", 1_000_000)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../out")],
        [entry("/tmp/out")],
        [entry("link", tarfile.SYMTYPE, ".."), entry("link/out")],
        [entry("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("pipe", tarfile.FIFOTYPE)],
        [entry("device", tarfile.CHRTYPE)],
        [entry("folder", tarfile.DIRTYPE)],
    ],
)
def test_an_archive_with_anything_but_plain_files_below_leaves_nothing(
    tmp_path: Path, entries: list[tarfile.TarInfo]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for one in [entry("good"), *entries]:
            archive.addfile(one)
    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidError):
        bundle.unpack(buffer.getvalue(), tmp_path / "in/work")
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_a_name_twice_in_an_archive_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        bundle.unpack(bundle.pack([file("a"), file("a")]), tmp_path / "work")
    assert not list(tmp_path.iterdir())


def test_the_notebooks_folder_is_there_also_where_no_file_lies_in_it(tmp_path: Path) -> None:
    bundle.unpack(bundle.pack([file("shared/a")]), tmp_path / "work")
    assert bundle.start_in(tmp_path / "work", "a/b") == tmp_path / "work/a/b"
    assert (tmp_path / "work/a/b").is_dir()
    assert bundle.start_in(tmp_path / "work", ".") == tmp_path / "work"
