"""What the supervisor's terminal says: the link with a way in, and how the platform stands."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from atoll.apps.ending_jobs import running_jobs
from atoll.apps.platform_state import Phase, PlatformStatus
from atoll.hub import way_in
from atoll.kit import words
from atoll.kit.home import Home
from hub_config.auth_secrets import password_file, user_password


class Terminal:
    """Says each sentence once in a row."""

    def __init__(self) -> None:
        self._last = ""

    def say(self, message: str) -> None:
        """Print a line at once, also into a pipe."""
        if message and message != self._last:
            self._last = message
            print(message, file=sys.stdout, flush=True)


def way_in_link(home: Home, url: str) -> str:
    """A new link that logs the administrator in, once, within a day."""
    return f"{url}hub/way-in?token={way_in.make(home)}"


def welcome(home: Home, url: str, first: bool, administrators: list[str]) -> str:
    """What is printed when the platform is up; the password is shown at the first start only."""
    lines = [
        "",
        f"  Atoll is up at {url}",
        "",
        f"    {way_in_link(home, url)}",
        f"    (logs you in as {administrators[0]}, once)",
        "",
    ]
    if first:
        lines += [
            f"  Others log in there with a name of their own and the password {user_password(home)}",
            f"  It is kept in {password_file(home)}; the administrator's beside it, in admin-password.",
            "",
        ]
    return "\n".join(lines)


def ended(home: Home) -> str:
    """What is said at the end, with the jobs that go on."""
    jobs = len(running_jobs(home))
    if not jobs:
        return "Atoll is down."
    return (
        f"Atoll is down. {words.count(jobs, 'job')} {'goes' if jobs == 1 else 'go'} on and"
        f" {'is' if jobs == 1 else 'are'} found again; `atoll down --stop-jobs` ends them."
    )


def described(status: PlatformStatus) -> str:
    """A few lines about the platform and its parts."""
    lines = [f"{status.phase}  {status.url if status.phase is not Phase.DOWN else ''}".rstrip()]
    if status.message:
        lines.append(status.message)
    lines.append(f"home     {status.home}")
    if status.phase is not Phase.DOWN and status.since is not None:
        minutes = int((datetime.now(UTC) - status.since).total_seconds() // 60)
        lines.append(f"since    {status.since:%Y-%m-%d %H:%M} UTC ({minutes} min)")
    for part in status.parts:
        state = f"pid {part.process.pid}" if part.running and part.process else "not running"
        again = f", restarted {part.restarts}×" if part.restarts else ""
        if part.running or status.phase is not Phase.DOWN:
            lines.append(f"{part.name:<8} {state}{again}")
    return "\n".join(lines)
