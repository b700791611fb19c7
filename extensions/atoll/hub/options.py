"""The page on which a server is started: which environment, and which profile. Needs no JavaScript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from atoll.checkpoints import client
from atoll.checkpoints.models import (
    BASE,
    LAST,
    Changes,
    Checkpoint,
    CheckpointStatus,
    Server,
    ServerStatus,
    Trigger,
)
from atoll.hub.templates import template
from atoll.kit import words
from atoll.kit.errors import AtollError

_OFFERED: Final = 20  # earlier environments on the page; the panel in the lab lists all of them
_STILL_SAVED: Final = (ServerStatus.UNSAVED, ServerStatus.SAVING)
_NAMED: Final = 3  # packages that are named; the others are counted


@dataclass(frozen=True, slots=True)
class Choice:
    """An environment that a server can be started with, in words."""

    value: str
    title: str
    detail: str
    problem: str = ""  # why a start from it would be refused


async def form(spawner: Any) -> str:
    """The form's inside, for JupyterHub's spawn page."""
    profiles = spawner.profiles.to(spawner.groups)
    last = spawner.orm_spawner.user_options or {}
    own_form = await spawner.own_form()
    context = {
        "profiles": profiles,
        "profile": last.get("profile")
        if last.get("profile") in profiles
        else next(iter(profiles), ""),
        "last": last,
        "shortages": await spawner.shortages(),
        "cards": spawner.contained,
        "own_form": own_form,
        "notice": "",
        "first": Choice(LAST, "Continue where you stopped", ""),
        "before": None,
        "earlier": [],
        "shared": [],
    }
    try:
        server = await spawner.service.send(client.server(spawner.user.name, spawner.name))
        page = await spawner.service.send(
            client.checkpoints(user=spawner.user.name, limit=_OFFERED)
        )
        others = await spawner.service.send(
            client.checkpoints(user=spawner.user.name, shared=True, limit=_OFFERED)
        )
        context |= choices(server, page.items, datetime.now(UTC), others.items)
    except AtollError as error:
        spawner.log.warning("The spawn page is shown without saved environments: %s", error)
        context["notice"] = (
            "What you saved cannot be listed right now; it is safe, and you can start all the same."
        )
    return template("environment_choice.html").render(context)


def from_form(data: Mapping[str, Sequence[str]], spawner: Any = None) -> dict[str, Any]:
    """The server's options from the submitted form; they are checked when it starts.

    Without a script the page shows what each profile offers, so that its name is part of the fields'.
    """
    own: dict[str, Any] = spawner.own_options(data) if spawner is not None else {}
    found = {name: _first(data, name) for name in ("environment", "profile")}
    for name in ("image", "size", "own_image"):
        found[name] = _first(data, f"{name}.{found['profile']}")
    return {**{name: value for name, value in found.items() if value}, **own}


def accept(_spawner: Any, _options: Mapping[str, object]) -> None:
    """Nothing to set on the spawner: a start reads and checks the options itself."""


def choices(
    server: Server,
    checkpoints: Sequence[Checkpoint],
    now: datetime,
    others: Sequence[Checkpoint] = (),
) -> dict[str, Any]:
    """What the page offers: how to go on, earlier environments, others', and what is happening now."""
    ready = [one for one in checkpoints if one.status == CheckpointStatus.READY and one.digest]
    by_digest = {one.digest: one for one in reversed(ready)}
    target = server.continues_from or server.environment
    known = by_digest.get(target) if target else None
    if server.status in _STILL_SAVED and not server.continues_from:
        known = None  # what one continues with is what is being saved now
    offered = [one for one in by_digest.values() if one is not known]
    offered.sort(key=lambda one: one.created_at, reverse=True)
    second = _second_choice(server, known, ready, offered)
    offered = [one for one in offered if second is None or one is not second[1]]
    return {
        "notice": _notice(server, now),
        "first": _first_choice(server, known, now),
        "before": Choice(str(second[1].digest), second[0], describe(second[1], now))
        if second is not None
        else None,
        "fresh": Choice(BASE, "Start fresh", server.base_name),
        "earlier": [
            Choice(str(one.digest), _title(one, now), _contents(one), _problem(one))
            for one in offered
        ],
        "shared": [
            Choice(str(one.digest), f"{one.user}, {when(one.created_at, now)}", _contents(one))
            for one in others
            if one.digest not in by_digest and one.too_old is None
        ],
    }


def _first_choice(server: Server, known: Checkpoint | None, now: datetime) -> Choice | None:
    """How to go on; None for who has never started."""
    title = "Go back, as you chose" if server.continues_from else "Continue where you stopped"
    if known is not None:
        return Choice(LAST, title, describe(known, now), _problem(known))
    if server.status == ServerStatus.FRESH:
        return None
    if server.status in _STILL_SAVED:
        return Choice(LAST, title, "with all that is being saved now")
    unchanged = server.environment is None and server.continues_from is None
    added = f"nothing added to {server.base_name or 'the image'}"
    return Choice(LAST, title, added if unchanged else "")


def _second_choice(
    server: Server,
    known: Checkpoint | None,
    ready: Sequence[Checkpoint],
    offered: Sequence[Checkpoint],
) -> tuple[str, Checkpoint] | None:
    """What else is in sight: where one stopped, for who chose to go back; what was before a start that failed."""
    startable = [one for one in offered if one.too_old is None]
    if server.failed_start:
        # a rebase that one never went over to is none of those
        been = {one.parent for one in ready if one.trigger != Trigger.REBASE}
        for one in startable:
            older = known is None or one.created_at < known.created_at
            if older and (
                one.trigger != Trigger.REBASE or one.digest in {*been, server.environment}
            ):
                return "Go back to the one before it", one
    elif server.continues_from:
        for one in startable:
            if one.digest == server.environment:
                return "Continue where you stopped", one
    return None


def _problem(checkpoint: Checkpoint) -> str:
    """Why it does not start any more, and what to do; empty where it does."""
    if checkpoint.too_old is None:
        return ""
    return (
        f"{checkpoint.too_old} Rebase it onto the newer base: start fresh and choose Rebase… in the"
        f" Environment panel, or `atoll checkpoints rebase {checkpoint.id}`."
    )


def describe(checkpoint: Checkpoint, now: datetime) -> str:
    """Such as `yesterday 18:42 UTC · + 14 packages: polars 2.1.0, xgboost 3.2.0 … · 312 MB`."""
    saved = when(checkpoint.created_at, now)
    if checkpoint.trigger is Trigger.AUTOMATIC:
        saved += ", saved by itself"
    return " · ".join(filter(None, (saved, _contents(checkpoint))))


def _contents(checkpoint: Checkpoint) -> str:
    """The same without the moment."""
    parts = []
    if checkpoint.note:
        parts.append(f"“{checkpoint.note}”")
    if checkpoint.changes is not None and checkpoint.changes.packages:
        parts.append(_packages(checkpoint.changes))
    if checkpoint.size:
        parts.append(words.size(checkpoint.size))
    return " · ".join(parts)


def when(moment: datetime, now: datetime) -> str:
    """A moment as people say it, in UTC since the hub does not know the reader's zone."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    clock = f"{moment:%H:%M} UTC"
    days = (now.date() - moment.date()).days
    if days == 0:
        return f"today {clock}"
    if days == 1:
        return f"yesterday {clock}"
    year = "" if moment.year == now.year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}, {clock}"


def _title(checkpoint: Checkpoint, now: datetime) -> str:
    server = f", server {checkpoint.server}" if checkpoint.server else ""
    return f"{when(checkpoint.created_at, now)}{server}"


def _packages(changes: Changes) -> str:
    added = [one for one in changes.packages if one.after is not None]
    named = ", ".join(f"{one.name} {one.after}" for one in added[:_NAMED])
    more = " …" if len(added) > _NAMED else ""
    removed = len(changes.packages) - len(added)
    text = f"+ {len(added)} package{'s' * (len(added) != 1)}: {named}{more}" if added else ""
    return " ".join(filter(None, (text, f"− {removed}" if removed else "")))


def _notice(server: Server, now: datetime) -> str:
    if server.status in _STILL_SAVED:
        told = server.message or "Your last stop is being saved; a start waits for it."
        if server.ended_why is None:
            return told
        there = ""
        if server.saved_at is not None:
            there = f"What was saved until {when(server.saved_at, now)} is there."
        return " ".join(filter(None, (server.ended_why, told, there)))
    if server.failed_start:
        return (
            "The last start did not become ready. What you saved is safe: try again, or choose an"
            " earlier environment or a fresh start."
        )
    lost = server.message if server.reason is not None else None
    return " ".join(filter(None, (server.ended_why, lost)))


def _first(data: Mapping[str, Sequence[str]], name: str) -> str:
    values = data.get(name)
    return values[0].strip() if values else ""
