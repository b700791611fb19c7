"""A source as readers get it: a file or a folder's files that were opened and may be read."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from atoll.kit.errors import AtollError

_POD: Final = "ATOLL_POD"  # a variable of jobs in a cluster
_SAMPLE: Final = "The stored sample is there still: `.preview()` and `.sample()` show it."
_IN_A_POD: Final = (
    "A job in a cluster has your home, and what groups share, only where the operator gives them to"
    " jobs too: ask for it, or give the job its files. The stored sample is there still: `.sample()`."
)


class SourceError(AtollError):
    """The source cannot be read as it is; `reason` is for programs."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "source"
    title: ClassVar[str] = "The source cannot be read"

    def __init__(self, reason: str, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder. `path` is how people know it, `real` where it is without symbolic links.

    `descriptor` is the opened file, so that what was checked is what is read; None where nothing
    was to be checked (in a kernel, which reads with its own rights).
    """

    path: Path
    real: Path
    files: tuple[Path, ...] | None  # of a folder, in order of their paths; None for a file
    descriptor: int | None
    size: int
    modified: datetime | None
    fingerprint: str  # changes whenever the source does

    @classmethod
    def file(cls, path: Path, real: Path, descriptor: int | None = None) -> Source:
        """A file."""
        status = os.fstat(descriptor) if descriptor is not None else real.stat()
        mark = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
        # What a database has written and not yet merged lies beside it.
        beside = real.with_name(real.name + "-wal")
        if beside.exists():
            mark += f":{beside.stat().st_size}:{beside.stat().st_mtime_ns}"
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return cls(path, real, None, descriptor, status.st_size, modified, mark)

    @classmethod
    def folder(
        cls, path: Path, real: Path, files: tuple[Path, ...], descriptor: int | None = None
    ) -> Source:
        """A folder with all files in and below it."""
        digest, size, newest = hashlib.sha256(), 0, 0.0
        for file in files:
            status = file.stat()
            size += status.st_size
            newest = max(newest, status.st_mtime)
            line = f"{file}\0{status.st_ino}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        modified = datetime.fromtimestamp(newest, UTC) if files else None
        return cls(path, real, files, descriptor, size, modified, digest.hexdigest())

    @classmethod
    def at(cls, path: Path) -> Source:
        """The source at a path, read with one's own rights. Raises SourceError where it is away."""
        try:
            if path.is_dir():
                files = (found for found in path.rglob("*") if found.is_file())
                return cls.folder(path, path, tuple(sorted(files)))
            return cls.file(path, path)
        except OSError as error:
            raise SourceError(
                "not_found",
                f"{path} cannot be read from here: {error.strerror}.",
                hint=_IN_A_POD if _POD in os.environ else _SAMPLE,
            ) from error

    @property
    def readable(self) -> str:
        """The path by which the file is read: by its descriptor where there is one."""
        return str(self.real) if self.descriptor is None else f"/proc/self/fd/{self.descriptor}"

    @property
    def parts(self) -> list[int | Path]:
        """Everything that reading it opens: itself, what its links lead to, what lies beside it."""
        links = [Path(os.path.realpath(file)) for file in self.files or () if file.is_symlink()]
        beside = [self.real.with_name(self.real.name + end) for end in ("-wal", "-shm", "-journal")]
        itself = self.real if self.descriptor is None else self.descriptor
        return [itself, *links, *(path for path in beside if path.exists() and not self.files)]
