"""Calls to containerd over its socket, whose errors are ours; messages are bytes made by `wire`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import grpc

from atoll.agent.errors import RuntimeUnavailableError
from atoll.agent.runtimes.wire import Message

_WITHIN_S = 30.0  # no call here takes containerd more than milliseconds
_NEXT_WITHIN_S = 60.0  # a message of a stream is a mebibyte; a disk in trouble takes seconds for it
_MAX_MESSAGE = 16 << 20  # containerd's own limit (defaults.DefaultMaxRecvMsgSize)
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.default_authority", "localhost"),  # a socket's path is none that Go accepts
    ("grpc.enable_http_proxy", 0),
)


class AbsentError(Exception):
    """What was asked for is not there."""


class Channel:
    """One connection for one namespace; every call raises `RuntimeUnavailableError`."""

    def __init__(
        self, address: Path, namespace: str, *, next_within_s: float = _NEXT_WITHIN_S
    ) -> None:
        self._next_within_s = next_within_s
        self._address = address
        self._metadata = (("containerd-namespace", namespace),)
        self._channel = grpc.insecure_channel(f"unix:{address}", options=_OPTIONS)

    def call(self, method: str, request: bytes, *, lease: str = "") -> Message:
        """The answer of `containerd.services.METHOD`; raises `AbsentError`."""
        calling: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            f"/containerd.services.{method}"
        )
        metadata = (*self._metadata, ("containerd-lease", lease)) if lease else self._metadata
        try:
            return Message(calling(request, timeout=_WITHIN_S, metadata=metadata))
        except grpc.RpcError as error:
            raise self._translated(error, method) from error

    def stream(self, method: str, request: bytes) -> Iterator[Message]:
        """The answers of a streaming call, of any number, each in time; raises `AbsentError`."""
        calling: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            f"/containerd.services.{method}"
        )
        answers = calling(request, metadata=self._metadata)
        try:
            while (answer := self._next(answers, answers.cancel, method)) is not None:
                yield Message(answer)
        finally:
            answers.cancel()  # ends it where the reader has had enough

    def _next(
        self, answers: Iterator[bytes], cancel: Callable[[], object], method: str
    ) -> bytes | None:
        """The next answer; None at the end."""
        late = Timer(self._next_within_s, cancel)
        late.daemon = True
        late.start()
        try:
            return next(answers, None)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.CANCELLED:
                raise RuntimeUnavailableError(
                    f"containerd at {self._address} was silent for {self._next_within_s:.0f} seconds"
                    f" in the middle of {method}.",
                    hint="Look at its log, and at the disk that its images are on.",
                ) from error
            raise self._translated(error, method) from error
        finally:
            late.cancel()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def _translated(self, error: grpc.RpcError, method: str) -> Exception:
        code = error.code()
        if code is grpc.StatusCode.NOT_FOUND:
            return AbsentError(error.details())
        return RuntimeUnavailableError(
            f"containerd at {self._address} did not do {method}: {code.name.lower()}"
            f" ({error.details()}).",
            hint="Check that it runs, that --address is its socket, and that you are root.",
        )
