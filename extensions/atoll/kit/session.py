"""Who am I and where is the platform: from a server's or job's environment, or from `atoll login`."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from atoll.kit.errors import InvalidError, UnauthenticatedError

if TYPE_CHECKING:
    from atoll.kit.http import Connection

_SERVICE: Final = "services/atoll/"
_PATIENCE_S: Final = 20.0  # a platform that was there a moment ago is being started again
_LOGIN_HINT: Final = (
    "Run `atoll login URL` with the address you use in the browser; on the machine that runs the"
    " platform, whoever started it needs only `atoll login`."
)


@dataclass(frozen=True, slots=True)
class Session:
    """A platform and a token for it. `url` is the service's and ends in `/services/atoll/`."""

    url: str
    token: str = field(repr=False)
    origin: str  # where the token was found, for people
    user: str = ""  # who logged in, where `atoll login` wrote it
    inside: bool = False  # in a server or job of the platform, so it was there a moment ago

    @property
    def api_url(self) -> str:
        """Where the service's REST begins."""
        return self.url + "api/v1/"

    @property
    def hub_url(self) -> str:
        """Where the hub's pages and its REST begin."""
        return self.url.removesuffix(_SERVICE) + "hub/"

    def connect(self) -> Connection:
        """A connection to the service."""
        from atoll.kit.http import Connection

        return Connection(self.api_url, self.token, patience_s=_PATIENCE_S if self.inside else 0.0)


@dataclass(frozen=True, slots=True)
class Login:
    """What `atoll login` keeps of one installation."""

    user: str
    token: str = field(repr=False)
    token_id: str = ""  # the hub's id of the token, where `atoll login` had it made


@dataclass(frozen=True, slots=True)
class Credentials:
    """The file of `atoll login`: several installations by URL, one of them current. Mode 0600."""

    path: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Credentials:
        """The user's: `$XDG_CONFIG_HOME/atoll/credentials.json`, below `~/.config` unless set."""
        config = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(config) / "atoll" / "credentials.json")

    def read(self) -> tuple[str, dict[str, Login]]:
        """The current installation's URL and every login by URL; nothing where nobody logged in."""
        try:
            mode = self.path.stat().st_mode
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return "", {}
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnauthenticatedError(
                f"{self.path} holds tokens and others may read it, so it is not used.",
                hint=f"Run `chmod 600 {self.path}`; log in anew if somebody may have read it.",
            )
        try:
            found = json.loads(text)
            return found["current"], {u: Login(**kept) for u, kept in found["logins"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnauthenticatedError(
                f"{self.path} is damaged ({type(error).__name__}).",
                hint="Delete it and run `atoll login`.",
            ) from error

    def keep(self, url: str, login: Login) -> None:
        """Keep a login and make its installation the current one."""
        _, logins = self.read()
        self._write(url, {**logins, url: login})

    def forget(self, url: str) -> None:
        """Forget a login; another known installation becomes the current one."""
        current, logins = self.read()
        logins.pop(url, None)
        self._write(current if current in logins else next(iter(logins), ""), logins)

    def _write(self, current: str, logins: Mapping[str, Login]) -> None:
        kept = {
            url: {"user": login.user, "token": login.token, "token_id": login.token_id}
            for url, login in logins.items()
        }
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({"current": current, "logins": kept}, indent=2), "utf-8")
        draft.replace(self.path)


def service_url(address: str) -> str:
    """The service's URL, from any address of the platform that a person copies from a browser."""
    full = address if "://" in address else f"http://{address}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidError(
            f"{address!r} is no address of a platform.",
            hint="Give the one you use in the browser, such as http://127.0.0.1:8000.",
        )
    netloc = parts.netloc.rpartition("@")[2]
    segments = parts.path.strip("/").split("/")
    for known in ("hub", "user", "services"):
        if known in segments:
            segments = segments[: segments.index(known)]
    base = "/".join(segment for segment in segments if segment)
    return f"{parts.scheme}://{netloc}/{base + '/' if base else ''}{_SERVICE}"


def find(
    environ: Mapping[str, str] = os.environ, credentials: Credentials | None = None
) -> Session:
    """The session of this process; raises UnauthenticatedError, which says how to get one.

    ATOLL_TOKEN first (a job's, or set by hand), then the token of the JupyterHub server this runs
    in, then what `atoll login` keeps: for ATOLL_URL where that is set, else the current one.
    """
    url = environ.get("ATOLL_URL", "")
    if environ.get("ATOLL_TOKEN"):
        if not url:
            raise UnauthenticatedError(
                "ATOLL_TOKEN is set and ATOLL_URL is not: the token is for an unknown platform.",
                hint="Set ATOLL_URL to the address you use in the browser.",
            )
        return Session(service_url(url), environ["ATOLL_TOKEN"], "ATOLL_TOKEN", inside=True)
    if url and environ.get("JUPYTERHUB_API_TOKEN"):
        user = environ.get("JUPYTERHUB_USER", "")
        token = environ["JUPYTERHUB_API_TOKEN"]
        return Session(service_url(url), token, "this server", user, inside=True)
    credentials = credentials or Credentials.find(environ)
    current, logins = credentials.read()
    wanted = service_url(url) if url else current
    if not wanted:
        raise UnauthenticatedError("You are not logged in.", hint=_LOGIN_HINT)
    if wanted not in logins:
        raise UnauthenticatedError(
            f"You are not logged in at {wanted.removesuffix(_SERVICE)}.", hint=_LOGIN_HINT
        )
    return Session(wanted, logins[wanted].token, str(credentials.path), logins[wanted].user)


def on_this_machine(url: str) -> bool:
    """Whether the platform at this address runs on this machine, as its name says."""
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}


def connect() -> Connection:
    """A connection to the service as whoever this process acts for."""
    return find().connect()
