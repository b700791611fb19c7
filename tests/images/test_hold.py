"""atoll-hold as a process between a caller, as the kubelet is one, and a service that holds."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

SOURCE = Path(__file__).parents[2] / "images/hold"
HOLD: tuple[int, str] = (200, '{"release": false}')
RELEASE: tuple[int, str] = (200, '{"release": true}')
MOST_OWN_KB = 4096  # beside the program's own pages, which all on a node share


class Service:
    """Says what it is told to say, and counts how often it was asked and with which token."""

    def __init__(self, port: int = 0) -> None:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = service.answer
                service.tokens.append(self.headers["Authorization"])
                service.asked.release()
                self.send_response(status)
                for name, value in service.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.answer = HOLD
        self.headers: dict[str, str] = {}
        self.tokens: list[str] = []
        self.asked = threading.Semaphore(0)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def was_asked(self) -> None:
        assert self.asked.acquire(timeout=10), "nobody asked the service"

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("hold") / "atoll-hold"
    variables = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    for command in (["go", "vet", "."], ["go", "build", "-o", str(built), "."]):
        subprocess.run(command, cwd=SOURCE, env=variables, check=True)
    return built


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.end()


class Holding:
    """The program at work, and what may be asked of it."""

    def __init__(self, program: Path, service_port: int) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = int(free.getsockname()[1])
        variables = {
            "ATOLL_HOLD_URL": f"http://127.0.0.1:{service_port}/api/v1/starts/st-1/hold?wait=20",
            "ATOLL_HOLD_TOKEN": "only-this-pod-has-it",
            "ATOLL_HOLD_PORT": str(self.port),
            "GOGC": "20",
            "GOMEMLIMIT": "8MiB",
            "GOMAXPROCS": "1",
        }
        self.process = subprocess.Popen([program], env=variables, stderr=subprocess.PIPE, text=True)
        self._pool = ThreadPoolExecutor(4)

    def get(self, path: str = "/hold", timeout_s: float = 20) -> httpx.Response:
        transport = httpx.HTTPTransport(retries=10)  # it may be starting still
        with httpx.Client(transport=transport, timeout=timeout_s, trust_env=False) as client:
            return client.get(f"http://127.0.0.1:{self.port}{path}")

    def call(self) -> Future[httpx.Response]:
        return self._pool.submit(self.get)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._pool.shutdown()


def own_memory(hold: Holding) -> int:
    """Resident, in kB, beside the program's own pages."""
    lines = Path(f"/proc/{hold.process.pid}/status").read_text().splitlines()
    (own,) = (int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return own


@pytest.fixture
def hold(program: Path, service: Service) -> Iterator[Holding]:
    holding = Holding(program, service.port)
    yield holding
    holding.end()


def test_the_caller_waits_until_the_service_lets_go(service: Service, hold: Holding) -> None:
    waiting = hold.call()
    service.was_asked()
    service.was_asked()
    assert not waiting.done()
    service.answer = RELEASE
    assert waiting.result(10).status_code == 200
    assert set(service.tokens) == {"token only-this-pod-has-it"}


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_the_service_does_not_know_is_let_go(
    status: int, service: Service, hold: Holding
) -> None:
    service.answer = (status, "{}")
    assert hold.get().status_code == 200


@pytest.mark.parametrize(
    "answer", [(500, ""), (403, ""), (429, "{}"), (200, "no JSON"), (200, ""), (204, "")], ids=str
)
def test_any_other_answer_holds(answer: tuple[int, str], service: Service, hold: Holding) -> None:
    service.answer = answer
    waiting = hold.call()
    service.was_asked()
    service.was_asked()
    assert not waiting.done()
    service.answer = RELEASE
    assert waiting.result(10).status_code == 200


def test_a_service_that_is_away_holds_and_is_asked_again(program: Path) -> None:
    service = Service()
    hold = Holding(program, service.port)
    waiting = hold.call()
    service.was_asked()
    service.end()
    assert hold.process.stderr is not None
    for line in hold.process.stderr:
        if "still holding" in line:
            break
    assert not waiting.done()
    back = Service(service.port)
    back.answer = RELEASE
    try:
        assert waiting.result(10).status_code == 200
    finally:
        back.end()
        hold.end()


def test_the_token_goes_nowhere_else(service: Service, hold: Holding) -> None:
    elsewhere = Service()
    service.answer, service.headers = (307, ""), {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
    waiting = hold.call()
    service.was_asked()
    service.was_asked()
    assert not elsewhere.tokens
    assert not waiting.done()
    service.answer = RELEASE
    waiting.result(10)
    elsewhere.end()


def test_nobody_is_asked_for_a_caller_that_went_away(service: Service, hold: Holding) -> None:
    with pytest.raises(httpx.ReadTimeout):
        hold.get(timeout_s=0.5)
    while service.asked.acquire(blocking=False):
        pass
    assert not service.asked.acquire(timeout=2.5)


def test_it_ends_at_once_when_it_is_told_to_and_nothing_is_unsaved(
    service: Service, hold: Holding
) -> None:
    hold.get("/")
    service.answer = RELEASE
    hold.process.send_signal(signal.SIGTERM)
    assert hold.process.wait(1) == 0
    assert service.tokens == ["token only-this-pod-has-it"]


def test_told_to_end_it_stays_until_the_server_is_saved(service: Service, hold: Holding) -> None:
    """The kubelet ends all containers at once; with the last one the pod goes, and every layer."""
    hold.get("/")
    hold.process.send_signal(signal.SIGTERM)
    service.was_asked()
    service.was_asked()
    assert hold.process.poll() is None
    service.answer = RELEASE
    assert hold.process.wait(10) == 0


def test_told_to_end_it_still_answers_who_asks(service: Service, hold: Holding) -> None:
    waiting = hold.call()
    service.was_asked()
    hold.process.send_signal(signal.SIGTERM)
    service.was_asked()
    service.was_asked()
    late = hold.call()
    service.was_asked()
    assert not waiting.done()
    service.answer = RELEASE
    assert (waiting.result(10).status_code, late.result(10).status_code) == (200, 200)
    assert hold.process.wait(10) == 0


def test_many_who_ask_are_sent_away(service: Service, hold: Holding) -> None:
    """Whoever is in the pod reaches it; it may not be killed for the memory that it uses."""
    hold.get("/")
    with ThreadPoolExecutor(40) as pool:
        asking = as_completed([pool.submit(hold.get) for _ in range(40)])
        assert {next(asking).result().status_code for _ in range(36)} == {429}
        service.answer = RELEASE
        assert {one.result().status_code for one in asking} == {200}


def test_connections_that_are_kept_open_take_no_memory(service: Service, hold: Holding) -> None:
    """What a process in the pod can do: open more than it may, say nothing, or promise a body."""
    hold.get("/")
    lines = (
        b"GET /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"",
    )
    with ExitStack() as opened:
        for number in range(600):
            one = opened.enter_context(socket.create_connection(("127.0.0.1", hold.port)))
            with suppress(ConnectionError):  # it was closed at once
                one.sendall(lines[number % 3])
        assert own_memory(hold) < MOST_OWN_KB
    waiting = hold.call()
    service.was_asked()
    service.answer = RELEASE
    assert waiting.result(20).status_code == 200


def test_a_body_that_never_comes_does_not_keep_it(service: Service, hold: Holding) -> None:
    hold.get("/")
    with socket.create_connection(("127.0.0.1", hold.port)) as one:
        one.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert one.recv(100) == b""
        service.answer = RELEASE
        hold.process.send_signal(signal.SIGTERM)
        assert hold.process.wait(10) == 0


def test_there_is_nothing_else_in_it(service: Service, hold: Holding) -> None:
    for path in ("/", "/holds", "/hold/x", "/metrics"):
        assert hold.get(path).status_code == 404
    assert not service.tokens


def test_it_says_which_settings_are_missing(program: Path) -> None:
    done = subprocess.run([program], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ATOLL_HOLD_URL" in done.stderr


def test_it_needs_little_memory_of_its_own(service: Service, hold: Holding) -> None:
    waiting = hold.call()
    service.was_asked()
    assert own_memory(hold) < MOST_OWN_KB
    service.answer = RELEASE
    waiting.result(10)
