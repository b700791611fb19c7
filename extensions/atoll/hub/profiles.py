"""Profiles: what an operator offers on the spawn page, and to whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from atoll.kit.errors import ForbiddenError, InvalidError
from atoll.kit.settings import Section

ProfileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_RESERVED: Final = ("JUPYTERHUB_", "ATOLL_", "JPY_")


class Profile(Section):
    """One offer. CPU and memory are told to the server and shown; one machine does not enforce them."""

    title: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=500)] = ""
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[str, Field(pattern=r"^[0-9]+[KMGT]$")] | None = None  # such as 4G
    groups: list[str] = Field(default_factory=list)  # of the hub; empty: everybody
    variables: dict[str, str] = Field(default_factory=dict)

    def open_to(self, groups: Collection[str]) -> bool:
        """Whether a member of these groups may use it."""
        return not self.groups or not set(self.groups).isdisjoint(groups)

    def of_server(self) -> dict[str, str]:
        """The environment variables it adds to a server; the platform's own cannot be set."""
        return {
            name: value for name, value in self.variables.items() if not name.startswith(_RESERVED)
        }


DEFAULT_PROFILES: Final = {
    "standard": Profile(title="Standard", description="JupyterLab on this machine.")
}


@dataclass(frozen=True, slots=True)
class Offers:
    """The profiles in the operator's order; the first that a user may use is the default."""

    profiles: Mapping[str, Profile]

    def to(self, groups: Collection[str]) -> dict[str, Profile]:
        """What a member of these groups may choose from."""
        return {name: one for name, one in self.profiles.items() if one.open_to(groups)}

    def chosen(self, name: str, groups: Collection[str]) -> tuple[str, Profile]:
        """The profile of this name, or the default for none.

        Raises InvalidError where there is no such profile, ForbiddenError where it is for others.
        """
        open_ = self.to(groups)
        if not open_:
            raise ForbiddenError(
                "No profile is offered to you.", hint="Ask an administrator to add you to a group."
            )
        if not name:
            return next(iter(open_.items()))
        if name in open_:
            return name, open_[name]
        if name in self.profiles:
            raise ForbiddenError(
                f"The profile {name} is offered to members of"
                f" {', '.join(sorted(self.profiles[name].groups))} only.",
                hint=f"Choose one of {', '.join(open_)}, or ask an administrator.",
            )
        raise InvalidError(
            f"There is no profile {name[:63]!r}.", hint=f"Choose one of {', '.join(open_)}."
        )
