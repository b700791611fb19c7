"""The agent of a node: asks the service for work, has it done, tells how far it is and how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from atoll import oci
from atoll.agent.ending import HEED_S, unless
from atoll.agent.outcome import not_taken, outcome
from atoll.agent.work import Saver, Work
from atoll.checkpoints import node_client
from atoll.checkpoints.node_models import (
    ImageSaved,
    LookOrder,
    LookResult,
    Order,
    ProgressReport,
    SaveOrder,
    SaveResult,
)
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from atoll.kit.http import Call, Connection
from atoll.kit.loops import KNOWN_DELAY_S, back_off

log = logging.getLogger(__name__)

WAIT_S: Final = 10.0  # of one long-poll
_TELL_S: Final = 1.0  # how often progress is told where there is any
_LAST_WORD_S: Final = 5.0  # for delivering a result when told to end
_RENEW_S: Final = 120.0  # a push token is renewed so long before it ends
_UNFIT: Final = (InvalidError, TooLargeError)
"""What the service says of a result that it does not take as it is."""
_NOT_OURS: Final = (ConflictError, NotFoundError, ForbiddenError, *_UNFIT)
"""What it says of one that it will never take."""

_ORDER: Final = TypeAdapter[SaveOrder | LookOrder](Order)

T = TypeVar("T")


class Service:
    """The service as this node's agent sees it. The token is read anew: Kubernetes renews its file."""

    def __init__(self, url: str, token_file: Path) -> None:
        self._url = url
        self._file = token_file
        self._token = ""
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def send(self, call: Call[T]) -> T:
        """Send a call; raises AtollError."""
        return self._current().send(call)

    def _current(self) -> Connection:
        try:
            token = self._file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UnavailableError(f"The agent's token cannot be read: {error}.") from error
        with self._lock:
            if self._connection is None or token != self._token:
                if self._connection is not None:
                    self._connection.close()
                self._connection = Connection(self._url, token)
                self._token = token
            return self._connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


class Agent:
    """Carries out one save at a time; `run` until `ending` is set, which is heeded within a second.

    A question or a look is left behind then: the service leases nothing to who has hung up. A save
    is given up and told back, so that whoever comes next begins it at once.
    """

    def __init__(
        self,
        node: str,
        service: Service,
        saver: Saver,
        ending: threading.Event,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        self._node = node
        self._service = service
        self._saver = saver
        self.ending = ending
        self._wait_s = wait_s

    def run(self) -> None:
        """Ask for work and do it. A service that is away is asked again, within seconds."""
        failures = 0
        with ThreadPoolExecutor(1, thread_name_prefix="save") as pool:
            while not self.ending.is_set():
                try:
                    order = self._next()
                except AtollError as error:
                    failures += 1
                    log.warning("no work can be asked for: %s", error)
                    self.ending.wait(back_off(failures, KNOWN_DELAY_S))
                    continue
                failures = 0
                if isinstance(order, SaveOrder):
                    self._carry_out(order, pool)
                elif order is not None:
                    self._look(order)

    def _next(self) -> SaveOrder | LookOrder | None:
        call = node_client.work(self._node, self._wait_s)
        content = unless(self.ending, lambda: self._service.send(call))
        try:
            return _ORDER.validate_json(content) if content else None
        except ValidationError as error:
            raise InvalidError("The service orders what this agent does not know.") from error

    def _look(self, order: LookOrder) -> None:
        """Look at a container, and tell; what cannot be told now is looked at again anyway."""
        began = time.monotonic()
        changes = None
        try:
            changes = unless(self.ending, lambda: self._saver.look(order))
        except (AtollError, oci.OciError) as error:
            log.info("%s is not looked at: %s", order.container, error)
        if self.ending.is_set():
            return
        result = LookResult(
            server=order.server,
            environment=order.environment,
            changes=changes,
            seconds=time.monotonic() - began,
        )
        try:
            self._service.send(node_client.looked(self._node, result))
        except AtollError as error:
            log.warning("what was seen is not told: %s", error)

    def _carry_out(self, order: SaveOrder, pool: ThreadPoolExecutor) -> None:
        log.info("saving %s", order.container, extra={"checkpoint": order.checkpoint})
        work = Work(order)
        saving = pool.submit(self._saver.save, work)
        done = threading.Event()
        saving.add_done_callback(lambda _: done.set())
        lost = _Telling(self._node, self._service, work).until(done, self.ending)
        if lost:
            log.warning("the save was taken back", extra={"checkpoint": order.checkpoint})
            return
        result = SaveResult(lease=order.lease, result=outcome(saving, order))
        self._deliver(order, result)

    def _deliver(self, order: SaveOrder, result: SaveResult) -> None:
        """Tell the service, whenever it is back; the last word is brief when told to end.

        Of an image of which it does not take what is told, it is told that: else its lease would
        end, and all be done again for the same answer.
        """
        call = node_client.result(self._node, order.checkpoint, result)
        failures = 0
        deadline: float | None = None
        while True:
            if self.ending.is_set():
                call = replace(call, timeout_s=_LAST_WORD_S)
            try:
                self._service.send(call)
            except _NOT_OURS as error:
                if not (isinstance(error, _UNFIT) and isinstance(result.result, ImageSaved)):
                    log.warning("not taken: %s", error, extra={"checkpoint": order.checkpoint})
                    return
                result = SaveResult(lease=order.lease, result=not_taken(error, order))
                call = node_client.result(self._node, order.checkpoint, result)
            except AtollError as error:
                failures += 1
                log.warning("not told yet: %s", error, extra={"checkpoint": order.checkpoint})
                self.ending.wait(back_off(failures, KNOWN_DELAY_S))
            else:
                said = result.result.outcome
                log.info("told: %s", said, extra={"checkpoint": order.checkpoint})
                return
            if self.ending.is_set():
                deadline = deadline or time.monotonic() + _LAST_WORD_S
                if time.monotonic() > deadline:
                    return
                time.sleep(0.2)  # `ending` is set: waiting for it takes no time


class _Telling:
    """Tells the service how far a save is, and with that keeps its lease."""

    def __init__(
        self,
        node: str,
        service: Service,
        work: Work,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._service = service
        self._work = work
        self._clock = clock
        self._told = work.how_far
        self._when = self._tried = clock()

    def until(self, done: threading.Event, ending: threading.Event) -> bool:
        """Tell until the save is done; whether it was lost to somebody else meanwhile."""
        lost = False
        while not done.wait(HEED_S):
            if ending.is_set() or lost:
                self._work.cancel()
            elif self._is_due():
                lost = self._tell(ending)
                self._tried = self._clock()
        return lost

    def _is_due(self) -> bool:
        now, lease_s = self._clock(), self._work.order.lease_s
        if now - self._tried < min(_TELL_S, lease_s / 4):
            return False
        return self._work.how_far != self._told or now - self._when > lease_s / 3

    def _tell(self, ending: threading.Event) -> bool:
        how_far, order = self._work.how_far, self._work.order
        token = self._work.token
        report = ProgressReport(
            lease=order.lease,
            phase=how_far.phase,
            done=how_far.done,
            total=how_far.total,
            waits=how_far.waits[:2000],
            token_wanted=token is not None and token.expires - time.time() < _RENEW_S,
        )
        call = node_client.progress(self._node, order.checkpoint, report)
        try:
            answer = unless(ending, lambda: self._service.send(call))
        except (ConflictError, NotFoundError):
            return True
        except AtollError as error:
            log.warning("progress is not told: %s", error, extra={"checkpoint": order.checkpoint})
            return False
        if answer is None:
            return False
        self._told, self._when = how_far, self._clock()
        if answer.token is not None:
            self._work.renew(answer.token)
        if answer.cancel:
            self._work.cancel()
        return False
