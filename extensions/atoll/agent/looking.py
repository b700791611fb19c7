"""What a running container has that is not saved: looked at without freezing, by names and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from atoll import oci
from atoll.agent.commit import key_of
from atoll.agent.leftovers import draft_of
from atoll.agent.runtimes.container import Container
from atoll.agent.what_changed import Since, what_changed
from atoll.checkpoints.models import Changes, Package

_SUFFIX = ".saved"


class _Note(BaseModel):
    """What is remembered of a container's last live save."""

    digest: str
    at_ns: int
    packages: list[Package]


@dataclass(frozen=True, slots=True)
class Notes:
    """Notes of live saves, in the agent's state directory; without one a look tells too much, not too little."""

    state: Path

    def write(self, container: Container, digest: str, at_ns: int, packages: list[Package]) -> None:
        """Remembers a live save; `at_ns` is when the container stood still."""
        path = self._path(container)
        draft = draft_of(path)
        draft.write_text(_Note(digest=digest, at_ns=at_ns, packages=packages).model_dump_json())
        draft.replace(path)

    def since(self, container: Container, digest: str) -> Since | None:
        """The live save that made the image `digest`; None where none is remembered."""
        try:
            note = _Note.model_validate_json(self._path(container).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return Since(note.at_ns, tuple(note.packages)) if note.digest == digest else None

    def forget(self, container: Container) -> None:
        """The container is saved for good."""
        self._path(container).unlink(missing_ok=True)

    def _path(self, container: Container) -> Path:
        return self.state / f"{key_of(container)}{_SUFFIX}"


def unsaved(container: Container, digest: str, state: Path, limits: oci.Limits) -> Changes:
    """What it has otherwise than the image `digest`, which it was started from or last saved as."""
    since = Notes(state).since(container, digest)
    return what_changed(container, since=since, limits=limits).changes
