"""The state directory of the embedded platform (`ATOLL_HOME`): where everything is, and its secrets."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """`ATOLL_HOME`, `~/.atoll` unless set. Only its owner may enter it."""

    path: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """The home that the environment names."""
        return cls(Path(environ.get("ATOLL_HOME") or Path.home() / ".atoll").absolute())

    def create(self) -> None:
        """Make the directories, closed to others; does nothing where they exist."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        for folder in (
            self.secrets, self.hub, self.service, self.images, self.homes,
            self.environments, self.jobs, self.datasets, self.data, self.logs, self.run,
        ):  # fmt: skip
            folder.mkdir(exist_ok=True, mode=0o700)

    @property
    def settings(self) -> Path:
        """The operator's settings file (TOML)."""
        return self.path / "atoll.toml"

    @property
    def secrets(self) -> Path:
        """Tokens and passwords, one a file, mode 0600."""
        return self.path / "secrets"

    @property
    def hub(self) -> Path:
        """The hub's own database and working directory."""
        return self.path / "hub"

    @property
    def service(self) -> Path:
        """The service's database."""
        return self.path / "service"

    @property
    def images(self) -> Path:
        """The OCI image layout that holds the environments."""
        return self.path / "images"

    @property
    def homes(self) -> Path:
        """A home directory for each user."""
        return self.path / "homes"

    @property
    def environments(self) -> Path:
        """The environment directories of servers: USER/SERVER."""
        return self.path / "environments"

    @property
    def jobs(self) -> Path:
        """A working directory for each job."""
        return self.path / "jobs"

    @property
    def datasets(self) -> Path:
        """The stored sample and preview of each dataset."""
        return self.path / "datasets"

    @property
    def data(self) -> Path:
        """Data that the operator puts here may be registered as datasets by its users."""
        return self.path / "data"

    @property
    def logs(self) -> Path:
        """Logs of the platform's processes and of servers."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """Locks, pid files and what the running platform says of itself."""
        return self.path / "run"

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
        """The secret of this name, made on first use; the same for all who ask at the same time."""
        path = self.secrets / name
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            self.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = path.with_name(f".{name}.{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(make(), "ascii")
            try:
                os.link(draft, path)  # the first wins; a file half written is never seen
            except FileExistsError:
                pass  # somebody else made it: theirs counts
            finally:
                draft.unlink()
            return path.read_text("ascii").strip()
