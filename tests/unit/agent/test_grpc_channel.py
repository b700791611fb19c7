"""A containerd that falls silent in the middle of a stream holds up nobody for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from atoll.agent.errors import RuntimeUnavailableError
from atoll.agent.runtimes.grpc_channel import Channel
from atoll.agent.runtimes.wire import encode

READ = "content.v1.Content/Read"


class Containerd(grpc.GenericRpcHandler):
    """Answers each stream with two messages, and then not at all until it is told to go on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        assert details.method == f"/containerd.services.{READ}"
        return grpc.unary_stream_rpc_method_handler(self._read)

    def _read(self, _request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield encode((2, b"one"))
        yield encode((2, b"two"))
        self.goes_on.wait()
        yield encode((2, b"three"))


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[Containerd]:
    here = Containerd()
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=(here,))
        server.add_insecure_port(f"unix:{tmp_path}/socket")
        server.start()
        yield here
        here.goes_on.set()
        server.stop(None).wait()


def test_a_stream_that_hangs_ends_with_a_sentence(containerd: Containerd, tmp_path: Path) -> None:
    channel = Channel(tmp_path / "socket", "k8s.io", next_within_s=0.2)
    answers = channel.stream(READ, b"")
    assert [next(answers).data(2), next(answers).data(2)] == [b"one", b"two"]

    with pytest.raises(RuntimeUnavailableError, match=f"silent for .* in the middle of {READ}"):
        next(answers)

    channel.close()


def test_one_that_goes_on_is_read_to_its_end(containerd: Containerd, tmp_path: Path) -> None:
    containerd.goes_on.set()
    channel = Channel(tmp_path / "socket", "k8s.io")

    assert [one.data(2) for one in channel.stream(READ, b"")] == [b"one", b"two", b"three"]

    channel.close()
