"""`atoll login`, `logout` and `whoami`: which platform, and as whom."""

from __future__ import annotations

import getpass
import socket
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atoll.kit import console, session
from atoll.kit.console import Output, OutputOption

if TYPE_CHECKING:
    from atoll.kit.account import Me

_DAYS: Final = 90
"""How long a token of `atoll login` lives: a quarter, after which one logs in again."""


def login(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="The address you use in the browser; this machine's own platform unless given.",
        ),
    ] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Your name there.")] = None,
    with_token: Annotated[
        bool,
        typer.Option(
            "--with-token", help="Use a token made on the hub's token page, not a password."
        ),
    ] = False,
) -> None:
    """Log in; asks for the password, which is exchanged for a token and not kept.

    Without a URL and a name, whoever owns the platform on this machine is its administrator and is
    asked for nothing. What cannot be typed is read from standard input. A platform you are logged in at already
    becomes the current one.

    Example: `atoll login http://127.0.0.1:8000 --user ada`
    """
    address = session.service_url(url or _own_platform())
    credentials = session.Credentials.find()
    _, logins = credentials.read()
    known = logins.get(address)
    if known is not None and user in (None, known.user) and not with_token:
        found = _asked(session.Session(address, known.token, "", known.user))
        if found is not None:
            credentials.keep(address, known)
            console.say(f"You are {found.name} at {_shown(address)}, as before.")
            return
    if with_token:
        fresh = _with_token(address)
    elif url is None and user is None:
        fresh = _as_owner(address)
    else:
        fresh = _with_password(address, user)
    credentials.keep(address, fresh)
    console.say(f"You are {fresh.user} at {_shown(address)}.")


def logout(
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="The current platform unless given.")
    ] = None,
) -> None:
    """Log out: end the token and forget it.

    Example: `atoll logout`
    """
    from atoll.kit import account

    credentials = session.Credentials.find()
    current, logins = credentials.read()
    address = session.service_url(url) if url else current
    known = logins.get(address)
    if known is None:
        console.say("You are not logged in there.")
        return
    credentials.forget(address)
    if known.token_id:
        hub_url = session.Session(address, known.token, "").hub_url
        account.revoke_token(hub_url, known.user, known.token, known.token_id)
    console.say(f"Logged out of {_shown(address)}.")


def whoami(output: OutputOption = Output.TABLE) -> None:
    """Who you are to the platform, and how it knows.

    Example: `atoll whoami`
    """
    from atoll.kit import account

    found = session.find()
    with found.connect() as connection:
        me = connection.send(account.me())
    if output is Output.JSON:
        console.plain({**me.model_dump(mode="json"), "url": found.url, "token_from": found.origin})
        return
    console.facts(
        [
            ("Name", me.name),
            ("Platform", _shown(found.url)),
            ("Administrator", "yes" if me.admin else None),
            ("Groups", ", ".join(me.groups)),
            ("Server", None if me.server is None else me.server or "the default one"),
            ("Job", me.job),
            ("Token from", found.origin),
        ]
    )


def _own_platform() -> str:
    """The address of the platform that runs from this machine's ATOLL_HOME."""
    from atoll.apps import up as platform
    from atoll.kit.errors import InvalidError
    from atoll.kit.home import Home

    found = platform.address(Home.find())
    if found is None:
        raise InvalidError(
            "No platform runs on this machine, so it is unclear where to log in.",
            hint="Give its address: `atoll login http://HOST:PORT`; `atoll up` starts one here.",
        )
    return found


def _as_owner(address: str) -> session.Login:
    """Whoever can read the secrets of this machine's platform administers it."""
    from atoll.apps.starting import load_settings
    from atoll.kit.home import Home
    from hub_config.auth_secrets import admin_password

    home = Home.find()
    administrator = load_settings(home, None).hub.administrators[0]
    return _issued(address, administrator, admin_password(home))


def _with_password(address: str, user: str | None) -> session.Login:
    _check_answers(address)
    if address.startswith("http:") and not session.on_this_machine(address):
        console.say("Careful: this address is not encrypted; others on the way can read passwords.")
    name = user or typer.prompt("User", default=getpass.getuser(), err=True)
    password = _secret(f"Password of {name} at {_shown(address)}")
    return _issued(address, name, password)


def _issued(address: str, name: str, password: str) -> session.Login:
    from atoll.kit import account

    hub_url = session.Session(address, "", "").hub_url
    note = f"atoll login on {socket.gethostname()}"
    issued = account.issue_token(hub_url, name, password, note=note, days=_DAYS)
    return session.Login(_verified(address, issued.token).name, issued.token, issued.id)


def _with_token(address: str) -> session.Login:
    _check_answers(address)
    hub_url = session.Session(address, "", "").hub_url
    token = _secret(f"Token, made at {hub_url}token")
    return session.Login(_verified(address, token).name, token)


def _verified(address: str, token: str) -> Me:
    from atoll.kit import account

    with session.Session(address, token, "").connect() as connection:
        return connection.send(account.me())


def _check_answers(address: str) -> None:
    """Raise UnavailableError where no platform answers, before a person is asked for anything."""
    _asked(session.Session(address, "nobodys", ""))


def _asked(found: session.Session) -> Me | None:
    """Who the token is of; None where it has ended, or never was one."""
    from atoll.kit.errors import UnauthenticatedError

    try:
        return _verified(found.url, found.token)
    except UnauthenticatedError:
        return None


def _secret(what: str) -> str:
    """Something typed unseen, or the first line of standard input; never an argument."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{what}: ")
    return sys.stdin.readline().strip()


def _shown(url: str) -> str:
    return url.removesuffix("services/atoll/")
