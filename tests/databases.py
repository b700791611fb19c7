"""The database under a test: a SQLite file in the home, or one on a private PostgreSQL server.

`pytest --database=postgres` runs the same tests on PostgreSQL. The server is this process's own,
listens on a Unix socket alone, and is gone with it. Its databases sort as people do ("en-US"),
not by bytes: what relies on the order of bytes fails here.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
from atoll.kit.home import Home

VARIABLE: Final = "ATOLL_SERVICE__DATABASE"
"""Where processes under test find the URL, as the service itself does."""

_ACCOUNT: Final = "postgres"  # the server refuses to run as root
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # a test needs no data after a power cut; a killed process loses none
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}


class Server:
    """A PostgreSQL server that can be stopped, killed and started again."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="atoll-postgres-"))
        self._data = self.folder / "data"
        self._settings = {**_SETTINGS, **settings, "unix_socket_directories": str(self.folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._as = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            self._as += ["--reuid", _ACCOUNT, "--regid", _ACCOUNT, "--clear-groups"]
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        options = ["--username=atoll", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        options += ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8"]
        self._run("initdb", "--pgdata", str(self._data), *options)
        self.start()

    def start(self) -> None:
        """Start it; returns when it answers."""
        argv = [*self._as, _program("postgres"), "-D", str(self._data)]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(argv, cwd="/", stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._address("postgres")).close()
            except psycopg.OperationalError:
                said = (self.folder / "log").read_text()
                assert time.monotonic() < deadline, said
                if self._process.poll() is not None:  # one that was killed still leaves memory
                    self._process = subprocess.Popen(argv, cwd="/", stdout=log, stderr=log)
                time.sleep(0.05)
            else:
                log.close()
                return

    def stop(self) -> None:
        """Have it end in order, cutting all connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it, with all processes that serve connections."""
        assert self._process is not None
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        for child in found.split():
            with suppress(ProcessLookupError):  # connections end all the time
                os.kill(int(child), signal.SIGKILL)
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it and remove all that it kept."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self, name: str) -> str:
        """A new, empty database; its URL."""
        self._sql(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://atoll@/{name}?host={self.folder}"

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _sql(self, statement: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _address(self, database: str) -> str:
        return f"host={self.folder} user=atoll dbname={database}"

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)

    def _run(self, program: str, *arguments: str) -> None:
        argv = [*self._as, _program(program), *arguments]
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _program(name: str) -> str:
    """A program of the newest PostgreSQL here; Debian keeps them beside the PATH."""
    kept = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])
    )
    found = str(kept[-1]) if kept else shutil.which(name)
    assert found is not None, f"{name} is missing; tests/install-system-packages installs it"
    return found


class Databases:
    """Which kind the tests run on, and the server where that is PostgreSQL."""

    def __init__(self) -> None:
        self.kind = "sqlite"
        self._server: Server | None = None
        self._urls: dict[Path, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def server(self) -> Server:
        """This process's PostgreSQL, started when it is first needed; it ends with that thread."""
        if self._server is None:
            self._server = Server()
            atexit.register(self._server.close)
        return self._server

    def url(self, path: Path) -> str:
        """The URL of the database that belongs to the path: the file itself, or one named after it."""
        if self.kind == "sqlite":
            return f"sqlite:///{path}"
        with self._lock:
            if path not in self._urls:
                name = "t" + hashlib.sha256(bytes(path)).hexdigest()[:20]
                self._urls[path] = name, self.server.create(name)
            return self._urls[path][1]

    def move(self, before: Path, after: Path) -> None:
        """A folder was moved: what belongs to paths below it now belongs to those below `after`."""
        for path in [one for one in self._urls if one.is_relative_to(before)]:
            self._urls[after / path.relative_to(before)] = self._urls.pop(path)

    def begin(self) -> None:
        """Before a test, in the main thread: have the server run that it may need."""
        if self.kind == "postgres":
            assert self.server

    def forget(self, folder: Path) -> None:
        """Drop the databases of paths below the folder."""
        for path in [one for one in self._urls if one.is_relative_to(folder)]:
            self.server.drop(self._urls.pop(path)[0])


DATABASES: Final = Databases()


def url_of(home: Home) -> str:
    """The URL of the service's database for a home: the same however often it is asked."""
    return os.environ.get(VARIABLE) or DATABASES.url(home.service / "atoll.sqlite")


def variables(home: Home) -> dict[str, str]:
    """The environment of a process that is to use the home's database."""
    return {**os.environ, VARIABLE: url_of(home)}
