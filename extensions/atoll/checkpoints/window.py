"""Which saved environments still start: by the platform's version that they were made with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from atoll.kit.errors import ConflictError

if TYPE_CHECKING:
    from atoll.checkpoints.ground import Ground

_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.|\D|$)")


class TooOldError(ConflictError):
    """The environment is older than what the platform starts."""

    title = "This environment is too old"


@dataclass(frozen=True, slots=True)
class Window:
    """The platform's version, and how many minor versions back environments may be."""

    version: str
    back: int

    def too_old(self, version: str | None) -> str | None:
        """Why an environment of this version does not start; None where it does, or nobody knows."""
        behind = self._behind(version)
        if behind is None or behind <= self.back:
            return None
        return (
            f"It was made with version {version} of the platform, which is {self.version} by now and"
            f" starts environments {self._of()}."
        )

    def aged(self, version: str | None) -> str | None:
        """What to say of an environment that is older and starts; None where there is nothing to say."""
        behind = self._behind(version)
        if not behind or behind > self.back:
            return None
        return (
            f"It was made with version {version} of the platform, which is {self.version} by now."
            " Rebase it onto the newer base before it is too old to start."
        )

    def check(self, version: str | None, checkpoint: str | None) -> None:
        """Raise TooOldError, with the ways out, where an environment of this version does not start.

        `checkpoint` is the id of the caller's own, None of another's.
        """
        if (why := self.too_old(version)) is None:
            return
        rebase = (
            f"Rebase it: `atoll checkpoints rebase {checkpoint}`, or Rebase… in the Environment"
            " panel of a fresh start. What is saved stays as it is."
        )
        raise TooOldError(
            f"This environment does not start any more. {why}",
            hint=rebase
            if checkpoint
            else "Its owner can rebase it; or start another one, or fresh.",
        )

    def _behind(self, version: str | None) -> int | None:
        """How many minor versions it is behind; a major one counts as more than any window."""
        then, now = _VERSION.match(version or ""), _VERSION.match(self.version)
        if then is None or now is None:
            return None
        if then[1] != now[1]:
            return max(0, int(now[1]) - int(then[1])) * 10**6
        return max(0, int(now[2]) - int(then[2]))

    def _of(self) -> str:
        now = _VERSION.match(self.version)
        assert now is not None  # noqa: S101  # else nothing is behind it
        oldest = max(0, int(now[2]) - self.back)
        return f"of {now[1]}.{oldest} and later"


def window_of(ground: Ground) -> Window:
    """Which environments this platform starts."""
    return Window(ground.platform.version, ground.settings.versions_back)
