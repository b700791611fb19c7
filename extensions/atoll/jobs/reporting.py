"""How a job's process in a pod speaks to the service, and keeps what it has to say while that is away.

No pydantic here: the process is to be up in milliseconds, and the notebook is not to wait for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import httpx

from atoll.jobs.directory import JobDirectory
from atoll.kit.files import read_bounded

_PIECE: Final = 1 << 19  # of the log, in one call
_OUTPUT_EVERY_S: Final = 2.0
_OUTPUT_SHARE: Final = 10  # sending a huge notebook takes at most a tenth of the time
_ALIVE_EVERY_S: Final = 10.0
_OVER: Final = frozenset({"unauthenticated", "forbidden", "not_found", "conflict"})
_NEVER: Final = frozenset({"too_large", "invalid"})


class AwayError(Exception):
    """The service does not answer, or cannot keep anything now: it is told again later."""


class OverError(Exception):
    """The service has ended the job, or somebody else has it: it may not go on."""


class RefusedError(Exception):
    """The service will never take this."""


class Service:
    """The service's routes for the job's own process."""

    def __init__(self, url: str, token: str, job: str, claimant: str) -> None:
        self._claimant = claimant
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/jobs/{job}/run/",
            headers={"Authorization": f"token {token}", "Atoll-Claimant": claimant},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=False,  # the platform's own calls: no network proxy sees them
        )

    def claim(self, pod: str) -> dict[str, Any]:
        """Take the job; what is to be done."""
        claim = {"claimant": self._claimant, "pod": pod}
        order: dict[str, Any] = self._send("POST", "claim", json=claim).json()
        return order

    def files(self) -> bytes:
        """The files that the job was given, for `bundle.unpack`."""
        return self._send("GET", "files").content

    def progress(self, step: tuple[int, int] | None) -> None:
        """How far it is; without a step that it is alive."""
        body = {} if step is None else {"cell": step[0], "cells": step[1]}
        self._send("POST", "progress", json=body)

    def log(self, offset: int, piece: bytes) -> int:
        """A piece of the log; where the next one begins."""
        answer = self._send("POST", "log", params={"offset": offset}, content=piece)
        return int(answer.json()["next"])

    def output(self, path: Path) -> None:
        """The output notebook as it is now."""
        self._send("PUT", "output", content=path.read_bytes())

    def result(self, said: dict[str, Any]) -> None:
        """The last word."""
        self._send("POST", "result", json=said)

    def _send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **rest)
        except httpx.HTTPError as error:
            raise AwayError(repr(error)) from error
        if response.is_success:
            return response
        code, detail = _problem(response)
        if code in _OVER:
            raise OverError(detail)
        if code in _NEVER:
            raise RefusedError(detail)
        raise AwayError(detail)


class Reporter:
    """Tells the service what is in the job's directory, as it changes. May be asked at any time."""

    def __init__(self, service: Service, place: JobDirectory, log_at: int) -> None:
        self._service = service
        self._place = place
        self._log_begins = log_at  # in the service's file
        self._log_at = 0  # in ours
        self._log_taken = True
        self._step: tuple[int, int] | None = None
        self._heard = time.monotonic()
        self._output: tuple[int, int] | None = None  # as it was sent last
        self._output_due = 0.0

    def tell(self, *, all_of_it: bool = False) -> None:
        """What is new and due, in the order in which it happened. Raises AwayError, OverError."""
        self._tell_log()
        self._tell_output(now=all_of_it)
        step = self._place.progress()
        if step is not None and step != self._step:
            self._service.progress(step)
            self._step, self._heard = step, time.monotonic()
        elif time.monotonic() - self._heard > _ALIVE_EVERY_S:
            self._service.progress(None)
            self._heard = time.monotonic()

    def _tell_log(self) -> None:
        while self._log_taken:
            piece, _ = read_bounded(self._place.log, self._log_at, _PIECE) or (b"", 0)
            if not piece:
                return
            try:
                following = self._service.log(self._log_begins + self._log_at, piece)
            except RefusedError:
                self._log_taken = False  # longer than any that is kept
                return
            self._log_begins = min(self._log_begins, following)  # it may have lost its disk
            self._log_at = following - self._log_begins
            self._heard = time.monotonic()

    def _tell_output(self, *, now: bool) -> None:
        try:
            found = self._place.output.stat()
        except FileNotFoundError:
            return
        version = (found.st_mtime_ns, found.st_ino)
        began = time.monotonic()
        if version == self._output or not (now or began >= self._output_due):
            return
        try:
            self._service.output(self._place.output)
        except RefusedError as error:
            self._note(f"The output notebook is not kept: {error}")
        self._output, self._heard = version, time.monotonic()
        cost = self._heard - began
        self._output_due = self._heard + max(_OUTPUT_EVERY_S, cost * _OUTPUT_SHARE)

    def _note(self, text: str) -> None:
        with self._place.log.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def _problem(response: httpx.Response) -> tuple[str, str]:
    """The code and the sentence of a problem; what is none comes from something in between."""
    try:
        found = response.json()
        return str(found["code"]), str(found["detail"])
    except (ValueError, KeyError, TypeError):
        return "", f"something answered {response.status_code}"
