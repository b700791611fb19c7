"""Images that users type themselves: allowed by the operator's pattern, and never a saved environment.

A saved environment is started by its digest after the service has looked whose it is. An image that
a user types would pass that by, so the repositories that hold environments cannot be named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from atoll.kit.errors import ForbiddenError, InvalidError

_REFERENCE: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9._:-]*[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """Where environments are kept: repositories below `prefix`, in a registry of any name.

    Of any: the same registry has a push name, a pull name, addresses, and mirrors.
    """

    prefix: str

    def holds(self, image: str) -> bool:
        """Whether the image may be a saved environment."""
        found = _REFERENCE.fullmatch(image)
        if found is None:
            return True  # what cannot be read is not let through
        first, _, rest = found["name"].partition("/")
        named_host = bool(rest) and ("." in first or ":" in first or first == "localhost")
        repository = rest if named_host else found["name"]
        return f"{repository}/".startswith(f"{self.prefix}/")


def checked_pattern(pattern: str) -> str:
    """The pattern, if it is one; raises ValueError."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from error
    return pattern


def allowed(image: str, pattern: str | None, kept: Kept) -> str:
    """The image that a user typed; raises InvalidError or ForbiddenError where it may not be started.

    The pattern must match all of it.
    """
    if len(image) > _MOST or _REFERENCE.fullmatch(image) is None:
        raise InvalidError(
            f"{image[:80]!r} is no name of an image.",
            hint="Say registry/repository:tag, or registry/repository@sha256:… .",
        )
    if kept.holds(image):
        raise ForbiddenError(
            f"{image} is where saved environments are kept, and cannot be named as an image.",
            hint="Choose a saved environment from the list instead.",
        )
    if pattern is None:
        raise ForbiddenError("This profile allows no images of your own.")
    if re.fullmatch(pattern, image) is None:
        raise ForbiddenError(
            f"The image {image} is not allowed here: allowed are those that match {pattern}.",
            hint="Choose one of the profile's images, or ask an administrator.",
        )
    return image
