"""The whole service, and `atoll` run against it as in somebody's shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from atoll.kit.home import Home

from tests.service.whole import whole_service


@dataclass
class Shell:
    """A shell of somebody: runs `atoll`, and Python with the SDK."""

    url: str
    folder: Path
    token: str = "ada"

    def as_(self, token: str) -> Shell:
        """The same for somebody else (the hub's tokens are names)."""
        return Shell(self.url, self.folder, token)

    def atoll(
        self, *arguments: str, status: int = 0, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `atoll`, which must end with this exit status."""
        done = self._run("-m", "atoll.apps.cli", *arguments, typed=typed)
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        """What `atoll … --output json` says."""
        return json.loads(self.atoll(*arguments, "--output", "json", status=status).stdout)

    def python(self, code: str) -> str:
        """What Python prints that runs this."""
        done = self._run("-W", "error", "-c", code)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def _run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        ours = {"ATOLL_URL": self.url, "ATOLL_TOKEN": self.token}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                **(ours if self.token else {}),
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("atoll") / "home")


@pytest.fixture(scope="session")
def service(home: Home) -> Iterator[str]:
    with whole_service(home) as url:
        yield url


@pytest.fixture
def ada(service: str, tmp_path: Path) -> Shell:
    return Shell(service, tmp_path)
