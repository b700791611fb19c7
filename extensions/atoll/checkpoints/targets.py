"""Where the images of containers go, and how the service looks at what an agent says it put there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from atoll import oci
from atoll.checkpoints.node_models import LayoutTarget, PushToken, RegistryTarget
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.settings import RegistrySettings
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from atoll.kit.names import directory_name, is_id
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import AccessToken, Reference, Registry, TokenSource


class Issued(Protocol):
    """A registry token, and when it ends in seconds since 1970."""

    @property
    def value(self) -> str:
        """The token itself."""
        ...

    @property
    def expires(self) -> float:
        """When it ends."""
        ...


class Tokens(Protocol):
    """What issues tokens for one repository; `registry_tokens.RegistryTokens` is it."""

    def issue(
        self,
        repository: str,
        actions: Literal["pull", "pull,push", "delete,pull,push"],
        *,
        save: str,
        pull_from: Sequence[str] = (),
    ) -> Issued:
        """A token for `repository`; `save` is whose it is, `pull_from` are read besides."""
        ...


class Targets(Protocol):
    """Where images go. `repository` is None where they are in a layout of this machine."""

    def repository(self, user: str) -> str | None:
        """The repository of a user's environments."""
        ...

    def target(
        self, repository: str | None, image: str, save: str, attempt: int
    ) -> LayoutTarget | RegistryTarget:
        """Where an agent puts the image of `save`, whose container was started from `image`."""
        ...

    def content(self, repository: str | None) -> AbstractContextManager[oci.Content]:
        """What lies there, for as long as the context lasts."""
        ...

    def deleting(self, repository: str) -> AbstractContextManager[RegistryStore]:
        """A repository of the registry, to remove images from."""
        ...

    def reference(self, repository: str | None, digest: str) -> str | None:
        """What a node pulls to have the image; None where no node can."""
        ...

    def as_pushed(self, image: str) -> str:
        """The reference of a container's image with the registry's name that agents use."""
        ...


def tag_of(save: str, attempt: int) -> str:
    """What the image of a save is tagged with; another tag for each attempt, the first is 1.

    A tag that moved from one attempt's image to the next one's would leave one that nothing leads to.
    """
    return save if attempt <= 1 else f"{save}.{attempt}"


def save_of(tag: str) -> str | None:
    """The save whose image has this tag; None for tags that are not ours."""
    save, _, attempt = tag.partition(".")
    return save if is_id(save) and (attempt.isdecimal() or tag == save) else None


class LayoutTargets:
    """One image layout for all users of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def repository(self, user: str) -> str | None:
        """None: a layout has none."""
        del user
        return None

    def target(self, repository: str | None, image: str, save: str, attempt: int) -> LayoutTarget:
        """The layout."""
        del repository, image, save, attempt
        return LayoutTarget(path=str(self._path))

    @contextmanager
    def content(self, repository: str | None) -> Iterator[oci.Content]:
        """The layout."""
        del repository
        yield oci.LayoutStore(self._path)

    def deleting(self, repository: str) -> AbstractContextManager[RegistryStore]:
        """There is no registry any more that images could be removed from."""
        raise UnavailableError(
            f"The repository {repository} is in a registry, and none is set up.",
            hint="Set registry.address as it was.",
        )

    def reference(self, repository: str | None, digest: str) -> None:
        """None: nodes pull from registries."""
        del repository, digest

    def as_pushed(self, image: str) -> str:
        """The same."""
        return image


class RegistryTargets:
    """One repository for each user in a registry. `tokens` is None where it asks for none."""

    def __init__(self, settings: RegistrySettings, tokens: Tokens | None) -> None:
        self._settings = settings
        self._tokens = tokens

    def repository(self, user: str) -> str | None:
        """A repository that no name of a user leads out of, and no other user has."""
        return f"{self._settings.prefix}/{directory_name(user)}"

    def target(self, repository: str | None, image: str, save: str, attempt: int) -> RegistryTarget:
        """The repository with a token for it alone, good for minutes."""
        assert repository is not None  # noqa: S101  # every save has one here
        token = None
        if self._tokens is not None:
            issued = self._tokens.issue(
                repository, "pull,push", save=save, pull_from=self._read_besides(image)
            )
            token = PushToken(value=issued.value, expires=issued.expires)
        return RegistryTarget(
            address=self._settings.address,
            repository=repository,
            tag=tag_of(save, attempt),
            plain_http=self._settings.plain_http,
            token=token,
        )

    @contextmanager
    def content(self, repository: str | None) -> Iterator[oci.Content]:
        """The repository, to be read."""
        assert repository is not None  # noqa: S101  # every save has one here
        registry = Registry(
            self._settings.address,
            credentials=self._token(repository, "pull"),
            plain_http=self._settings.plain_http,
            patience=5.0,  # the agent brings its result again
        )
        with RegistryStore(registry, repository) as store:
            yield store

    @contextmanager
    def deleting(self, repository: str) -> Iterator[RegistryStore]:
        """The repository, with the right to delete."""
        registry = Registry(
            self._settings.address,
            credentials=self._token(repository, "delete,pull,push"),
            plain_http=self._settings.plain_http,
            patience=5.0,  # it is tried again later
        )
        with RegistryStore(registry, repository) as store:
            yield store

    def reference(self, repository: str | None, digest: str) -> str | None:
        """By the name that nodes know the registry by."""
        if repository is None:
            return None
        return f"{self._pull_address}/{repository}@{digest}"

    def as_pushed(self, image: str) -> str:
        """Nodes and agents may know one registry by two names."""
        own = f"{self._pull_address}/"
        rest = image.removeprefix(own)
        return f"{self._settings.address}/{rest}" if image.startswith(own) else image

    @property
    def _pull_address(self) -> str:
        return self._settings.pull_address or self._settings.address

    def _token(
        self, repository: str, actions: Literal["pull", "delete,pull,push"]
    ) -> TokenSource | None:
        tokens = self._tokens
        if tokens is None:
            return None

        def token() -> AccessToken:
            issued = tokens.issue(repository, actions, save="service")
            return AccessToken(issued.value, issued.expires)

        return token

    def _read_besides(self, image: str) -> list[str]:
        """The repository of the container's image, where that is in this registry."""
        try:
            reference = Reference.parse(image)
        except oci.InvalidImageError:
            return []
        return [reference.repository] if reference.registry == self._settings.address else []


def targets(home: Home, settings: RegistrySettings) -> Targets:
    """What the settings ask for."""
    if not settings.address:
        return LayoutTargets(home.images)
    if not settings.issuer:
        return RegistryTargets(settings, None)
    tokens = RegistryTokens(
        home, issuer=settings.issuer, service=settings.service, lifetime_s=settings.token_s
    )
    return RegistryTargets(settings, tokens)
