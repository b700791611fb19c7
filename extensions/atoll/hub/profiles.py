"""Profiles: what an operator offers on the spawn page, and to whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, Field

from atoll.checkpoints.models import SaveEvery
from atoll.hub.images import Kept, allowed, checked_pattern
from atoll.hub.resources import (
    Bytes,
    ChoiceName,
    Cpu,
    Gpu,
    Image,
    ImageChoice,
    Label,
    Order,
    Size,
    Toleration,
    in_order,
)
from atoll.hub.storage import ShareName, Volume
from atoll.kit.errors import ForbiddenError, InvalidError
from atoll.kit.settings import Section

ProfileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
C = TypeVar("C")
Pattern = Annotated[str, AfterValidator(checked_pattern)]
_RESERVED: Final = ("JUPYTERHUB_", "ATOLL_", "JPY_")


class Profile(Section):
    """One offer. What is below `save_every_s` counts where servers are pods of a cluster.

    On one machine CPU and memory are told to the server and shown; nothing enforces them.
    """

    title: Annotated[str, Field(min_length=1, max_length=100)]
    order: Order = 0
    description: Annotated[str, Field(max_length=500)] = ""
    cpu: Cpu | None = None  # the most it gets
    memory: Bytes | None = None  # such as 4G; with more it is ended
    groups: list[str] = Field(default_factory=list)  # of the hub; empty: everybody
    variables: dict[str, str] = Field(default_factory=dict)
    save_every_s: SaveEvery | None = None  # none: `checkpoints.save_every_s`; 0: never

    cpu_guarantee: Cpu | None = None  # what a node must have free for it
    memory_guarantee: Bytes | None = None
    gpu: Gpu | None = None
    image: Image | None = None  # none: `hub.image`
    images: Annotated[dict[ChoiceName, ImageChoice], AfterValidator(in_order)] = Field(
        default_factory=dict
    )  # the first is the default
    own_images: Pattern | None = None  # matches the whole of an image that a user may type
    sizes: Annotated[dict[ChoiceName, Size], AfterValidator(in_order)] = Field(
        default_factory=dict
    )  # the first is the default
    shared_memory: Bytes | None = None  # of /dev/shm; it counts as memory
    node_selector: dict[Label, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    volumes: dict[ShareName, Volume] = Field(default_factory=dict)
    idle_s: Annotated[int, Field(ge=0)] | None = None  # then it is stopped; 0: never
    saved: bool = True  # no: what was changed is given up at a stop, and the spawn page says so
    kubespawner: dict[str, Any] = Field(default_factory=dict)  # any of KubeSpawner's own options

    @property
    def has_choices(self) -> bool:
        """Whether the spawn page has more to ask than the profile itself."""
        return bool(self.images or self.sizes or self.own_images)

    @property
    def saved_every_s(self) -> int | None:
        """How often its servers are saved by themselves; None: as the service does by default."""
        return self.save_every_s if self.saved else 0

    def open_to(self, groups: Collection[str]) -> bool:
        """Whether a member of these groups may use it."""
        return not self.groups or not set(self.groups).isdisjoint(groups)

    def of_server(self) -> dict[str, str]:
        """The environment variables it adds to a server; the platform's own cannot be set."""
        return {
            name: value for name, value in self.variables.items() if not name.startswith(_RESERVED)
        }

    def sized(self, choice: str) -> Profile:
        """The profile in the size of this name, the first for none; raises InvalidError."""
        if not self.sizes:
            return self._no("size", choice)
        size = self._chosen("size", self.sizes, choice)
        said = size.model_dump(exclude_none=True, exclude={"title", "gpu", "order"})
        return self.model_copy(update={**said, "gpu": size.gpu or self.gpu})

    def image_of(self, choice: str, own: str, default: str, kept: Kept) -> str:
        """The image to start from: the user's own, the choice of this name, or the profile's.

        Raises InvalidError for none there is, ForbiddenError for one that the operator did not allow.
        """
        if own:
            return allowed(own, self.own_images, kept)
        if not self.images:
            self._no("image", choice)
            return self.image or default
        return self._chosen("image", self.images, choice).image

    def _chosen(self, what: str, choices: Mapping[str, C], choice: str) -> C:
        if not choice:
            return next(iter(choices.values()))
        if choice in choices:
            return choices[choice]
        raise InvalidError(
            f"{self.title} has no {what} {choice[:63]!r}.",
            hint=f"Choose one of {', '.join(choices)}.",
        )

    def _no(self, what: str, choice: str) -> Profile:
        if choice:
            raise InvalidError(f"{self.title} offers no choice of its {what}.")
        return self


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
