"""What is kept of jobs at the service, whoever ran them: their logs and output notebooks."""

from __future__ import annotations

from atoll.jobs.directory import JobDirectory
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import TooLargeError
from atoll.kit.files import read_bounded
from atoll.kit.home import Home
from atoll.kit.names import is_id
from atoll.oci.tree import remove_tree


class JobFiles:
    """The directories of jobs."""

    def __init__(self, home: Home, settings: JobSettings) -> None:
        self._jobs = home.jobs
        self._settings = settings

    @property
    def most_output(self) -> int:
        """Bytes of the largest output notebook that any job should make."""
        return 2 * (self._settings.most_notebook + self._settings.most_output)

    def place(self, id_: str) -> JobDirectory:
        """A job's directory, which may not be there."""
        assert is_id(id_), id_  # noqa: S101  # ids come from the database alone
        return JobDirectory(self._jobs / id_)

    def kept(self) -> list[str]:
        """Ids of jobs that have a directory."""
        return [path.name for path in self._jobs.iterdir() if is_id(path.name)]

    def remove(self, id_: str) -> None:
        """Remove a job's directory."""
        place = self.place(id_)
        if place.path.is_dir():
            remove_tree(place.path)

    def log(self, id_: str, offset: int, most: int) -> tuple[bytes, int]:
        """A piece of the log, and its size."""
        return read_bounded(self.place(id_).log, offset, most) or (b"", 0)

    def output(self, id_: str) -> bytes | None:
        """The output notebook; raises TooLargeError where the job made it what no job keeps."""
        most = self.most_output
        content, size = read_bounded(self.place(id_).output, 0, most) or (None, 0)
        if size > most:
            raise TooLargeError(
                f"The output notebook has {size / 1e6:.1f} MB; {most / 1e6:.1f} MB are given out.",
                hint="Have the notebook save what is large as a file of its own.",
            )
        return content
