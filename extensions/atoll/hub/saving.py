"""The part that all spawners share: a start is prepared by the service, a stop is told to it.

Stopping never saves and never waits for a save: it tells the service, which finds out by itself
where it cannot be told, and ends the server. Starting waits until the environment is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from traitlets import Instance, Unicode
from traitlets.config import Configurable

from atoll.checkpoints import client
from atoll.checkpoints.models import LAST, Place, Preparation, Server, StartRequest
from atoll.hub.profiles import Offers, Profile
from atoll.hub.progress import Progress, Told
from atoll.hub.refusal import ChoiceRefused, EnvironmentUnusable, StartRefused
from atoll.kit.errors import AtollError, UnavailableError
from atoll.kit.http import AsyncConnection, Call

T = TypeVar("T")

PREPARED_PERCENT: Final = 50  # of a start; the rest is the server itself
_ENVIRONMENT: Final = "environment"  # the option
_POLL_S: Final = 20.0  # how long the service may hold a question; below proxies' time-outs
_AWAY_S: Final = 120.0  # a service that is away longer refuses the start; restarts take seconds
_RETRY_S: Final = 0.3
_TRIED_MOST: Final = 5  # environments that did not start, before the start is given up
_ENDED_S: Final = 3.0  # telling of an end; the service finds out by itself anyway


@cache
def connection(url: str, token: str) -> AsyncConnection:
    """The hub's one connection to the service."""
    return AsyncConnection(f"{url}api/v1/", token, direct=True)


class SavingMixin(Configurable):  # type: ignore[misc]  # traitlets has no types here
    """Goes before the class that carries servers out: `class X(SavingMixin, ThatSpawner)`.

    That class finds in `self.preparation` where the server runs and with which variables.
    """

    service_url = Unicode(config=True, help="The service, reached directly.")
    service_token = Unicode(config=True, help="The hub's own token for it.")
    profiles = Instance(Offers, config=True, help="What the operator offers.")

    user_options: dict[str, Any] | None  # JupyterHub's
    preparation: Preparation | None = None
    _start_id: str | None = None  # of the start that was asked for last
    profile_variables: dict[str, str] = {}  # noqa: RUF012  # replaced, never changed
    _progress: Progress | None = None

    @property
    def service(self) -> AsyncConnection:
        """The connection to the service."""
        return connection(self.service_url, self.service_token)

    async def start(self) -> Any:
        """Prepare, start, and tell the service: what the class behind this one returns."""
        progress = self._progress = Progress()
        self._start_id = None
        try:
            await self._clear_away()
            request = self._request()
            self._remember(self.user_options or {})
            address = await self._carried_out(request)
            await self._send(self._started())
        except BaseException as error:
            await self._abandon()
            if isinstance(error, ChoiceRefused):
                self._remember({})
            if isinstance(error, AtollError):
                raise StartRefused.of(error) from error
            raise
        finally:
            progress.end()
        return address

    async def stop(self, now: bool = False) -> None:
        """Tell the service that the server ends, and end it; waits for no save and never raises."""
        await asyncio.gather(self._tell_ended(self._start_id), super().stop(now))

    async def progress(self) -> AsyncIterator[Told]:
        """What happens, for the page that is shown meanwhile."""
        if self._progress is not None:
            async for told in self._progress.follow():
                yield told

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub needs to say which start it ends."""
        state: dict[str, Any] = super().get_state()
        if self._start_id is not None:
            state["start_id"] = self._start_id
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what a hub before this one kept."""
        super().load_state(state)
        self._start_id = state.get("start_id")

    def clear_state(self) -> None:
        """Forget the start."""
        super().clear_state()
        self._start_id = None

    def tell(self, percent: int, message: str) -> None:
        """Tell those who watch the start what happens now."""
        if self._progress is not None:
            self._progress.tell(percent, message)

    contained = False
    """Whether servers are containers, whose profiles offer images and sizes."""

    async def own_form(self) -> str:
        """What the class that carries servers out asks itself, as a form's inside; mostly nothing."""
        return ""

    def own_options(self, _data: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What was answered to that."""
        return {}

    async def shortages(self) -> dict[str, str]:
        """Why a profile cannot start now, by its name: for the page on which it is chosen."""
        return {}

    @property
    def groups(self) -> list[str]:
        """The names of the user's groups."""
        return [group.name for group in self.user.groups]

    def asked(self, option: str) -> str:
        """What the user chose, who may have sent anything; empty where nothing."""
        return str((self.user_options or {}).get(option) or "")

    def _request(self) -> StartRequest:
        """What was asked for, checked; the spawner is set up for it. Raises ChoiceRefused."""
        try:
            name, profile = self.profiles.chosen(self.asked("profile"), self.groups)
            self._set_up(profile)
        except AtollError as error:
            raise ChoiceRefused.of(error) from error
        # what was taken, also where nothing was said: the culler looks at it, and the next spawn page
        self.user_options = {**(self.user_options or {}), "profile": name}
        return self._for_environment(profile=name, save_every_s=profile.saved_every_s)

    def _for_environment(self, **more: Any) -> StartRequest:
        """The request for the environment that was asked for. Raises ChoiceRefused."""
        environment = self.asked(_ENVIRONMENT) or LAST
        try:
            return StartRequest(environment=environment, **more)
        except ValidationError as error:
            raise ChoiceRefused(
                f"{environment[:80]!r} is no environment: say `last`, `base`, or a digest.",
                reason="invalid",
                status=422,
            ) from error

    def _remember(self, options: Mapping[str, Any]) -> None:
        """Have JupyterHub choose this where nothing is said; the environment is the last one then."""
        kept = {name: value for name, value in options.items() if name != _ENVIRONMENT}
        self.orm_spawner.user_options = kept
        self.user.db.commit()  # or the next request that ends rolls it back

    def _set_up(self, profile: Profile) -> None:
        """Take what the profile says; raises AtollError."""
        self.cpu_limit, self.mem_limit = profile.cpu, profile.memory
        self.profile_variables = profile.of_server()

    async def _clear_away(self) -> None:
        """End what is left of a start that a hub before this one lost."""

    def _place(self) -> Place | None:
        """Where the server's container is, once it was started; None where it is a process."""
        return None

    def _started(self) -> Call[Server]:
        assert self.preparation is not None  # noqa: S101  # it was carried out
        start_id = self.preparation.start_id
        return client.started(self.user.name, self.name, start_id, self._place())

    async def _carried_out(self, request: StartRequest) -> Any:
        """Prepare and start; where an environment turns out not to start, the next best one."""
        while True:
            self.preparation = await self._prepared(request)
            if self.preparation.fallback:
                self.tell(PREPARED_PERCENT, self.preparation.fallback)
            try:
                return await super().start()
            except EnvironmentUnusable as error:
                without = [*request.without, error.digest]
                if len(without) > _TRIED_MOST:
                    raise
                self.log.warning("%s starts without %s: %s", self._log_name, error.digest, error)
                self.tell(PREPARED_PERCENT, error.short)
                request = request.model_copy(update={"without": without})

    async def _prepared(self, request: StartRequest) -> Preparation:
        """The prepared environment; meanwhile what happens is told. There is no time limit."""
        user, name = self.user.name, self.name
        self.tell(2, "asking for your environment")
        preparation = await self._send(client.start(user, name, request))
        self._start_id = preparation.start_id
        while not preparation.ready:
            self.tell(_percent(preparation), preparation.message or "preparing your environment")
            question = client.preparation(user, name, version=preparation.version, wait_s=_POLL_S)
            preparation = await self._send(question)
        return preparation

    async def _send(self, call: Call[T]) -> T:
        """Send a call; a service that is being restarted is waited for."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _AWAY_S
        while True:
            try:
                return await self.service.send(call)
            except UnavailableError as error:
                if clock() > deadline:
                    raise
                self.log.warning("The service does not answer, trying again: %s", error)
                self.tell(2, "waiting for the platform's service to answer")
            await asyncio.sleep(_RETRY_S)

    async def _abandon(self) -> None:
        """A start failed or was given up: leave nothing running, and let the service know."""
        await asyncio.gather(self._tell_ended(self._start_id), super().stop(True))

    async def _tell_ended(self, start_id: str | None) -> None:
        try:
            async with asyncio.timeout(_ENDED_S):
                await self.service.send(client.ended(self.user.name, self.name, start_id))
        except (AtollError, TimeoutError) as error:
            self.log.warning("The service will find out by itself that a server ended: %s", error)


def _percent(preparation: Preparation) -> int:
    """How far a preparation is, as a share of the whole start."""
    progress = preparation.progress
    if not progress.total:
        return 5
    return 5 + (PREPARED_PERCENT - 5) * min(progress.done, progress.total) // progress.total
