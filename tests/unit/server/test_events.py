"""Every tab hears what changed, over all interruptions, from one stream of the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from websocket import WebSocket, WebSocketBadStatusException, create_connection

from tests.unit.server.labserver import TOKEN, Lab
from tests.unit.server.upstream import Upstream


def event(number: int) -> bytes:
    body = {"id": number, "kind": "job", "subject": f"j-{number}", "change": "changed"}
    return f"id: {number}\nevent: job\ndata: {json.dumps(body)}\n\n".encode()


@contextmanager
def tab(lab: Lab, **options: object) -> Iterator[WebSocket]:
    url = f"ws://127.0.0.1:{lab.port}{lab.base}atoll/events"
    options.setdefault("header", {"Authorization": f"token {TOKEN}"})
    with closing(create_connection(url, timeout=30, **options)) as socket:
        yield socket


def heard(socket: WebSocket) -> dict[str, object]:
    return json.loads(socket.recv())


def end_streams(upstream: Upstream) -> None:
    """End the service's side, so that the next test meets a new stream."""
    upstream.events.put(None)


def test_tabs_share_one_stream(lab: Lab, upstream: Upstream) -> None:
    with tab(lab) as first, tab(lab) as second:
        assert heard(first)["type"] == heard(second)["type"] == "connected"
        upstream.events.put(event(1))
        for socket in (first, second):
            message = heard(socket)
            assert message["type"] == "event"
            assert message["event"] == {
                "id": 1, "kind": "job", "subject": "j-1", "change": "changed",
            }  # fmt: skip
        assert upstream.streams.get(timeout=30)
        assert upstream.streams.empty()
        end_streams(upstream)


def test_a_stream_that_ends_is_resumed_where_it_was(lab: Lab, upstream: Upstream) -> None:
    with tab(lab) as socket:
        assert heard(socket)["type"] == "connected"
        assert "Last-Event-ID" not in upstream.streams.get(timeout=30).headers
        upstream.events.put(event(41))
        assert heard(socket)["type"] == "event"
        upstream.events.put(None)
        away = heard(socket)
        assert away["type"] == "disconnected"
        assert away["problem"]
        assert heard(socket)["type"] == "connected"
        assert upstream.streams.get(timeout=30).headers["Last-Event-ID"] == "41"
        end_streams(upstream)


def test_a_tab_that_joins_later_hears_the_state_at_once(lab: Lab, upstream: Upstream) -> None:
    with tab(lab) as first:
        assert heard(first)["type"] == "connected"
        with tab(lab) as second:
            assert heard(second)["type"] == "connected"
        upstream.streams.get(timeout=30)
        end_streams(upstream)


def test_a_reset_tells_tabs_to_load_all_anew(lab: Lab, upstream: Upstream) -> None:
    with tab(lab) as socket:
        assert heard(socket)["type"] == "connected"
        upstream.events.put(b"event: reset\ndata: {}\n\n")
        assert heard(socket) == {"type": "reset"}
        upstream.streams.get(timeout=30)
        end_streams(upstream)


def test_a_refusal_is_told_in_the_services_words(lab: Lab, upstream: Upstream) -> None:
    upstream.refuse_events = True
    with tab(lab) as socket:
        message = heard(socket)
        assert message["type"] == "disconnected"
        assert message["problem"]["code"] == "unauthenticated"  # type: ignore[index]


def test_what_is_no_event_ends_nothing_but_the_stream(lab: Lab, upstream: Upstream) -> None:
    with tab(lab) as socket:
        assert heard(socket)["type"] == "connected"
        upstream.streams.get(timeout=30)
        upstream.events.put(b"event: job\ndata: {broken\n\n")
        assert heard(socket)["type"] == "disconnected"
        upstream.events.put(None)
        assert heard(socket)["type"] == "connected"
        upstream.streams.get(timeout=30)
        end_streams(upstream)


@pytest.mark.parametrize("header", [{}, {"Authorization": "token wrong"}])
def test_nobody_listens_without_a_right_token(lab: Lab, header: dict[str, str]) -> None:
    with pytest.raises(WebSocketBadStatusException, match="403"), tab(lab, header=header):
        pass


def test_a_page_of_another_origin_cannot_listen(lab: Lab) -> None:
    cookies = "; ".join(f"{k}={v}" for k, v in lab.login().items())
    with (
        pytest.raises(WebSocketBadStatusException, match="403"),
        tab(lab, header={}, cookie=cookies, origin="http://evil.example"),
    ):
        pass


def test_the_labs_own_page_can(lab: Lab, upstream: Upstream) -> None:
    cookies = "; ".join(f"{k}={v}" for k, v in lab.login().items())
    origin = f"http://127.0.0.1:{lab.port}"
    with tab(lab, header={}, cookie=cookies, origin=origin) as socket:
        assert heard(socket)["type"] == "connected"
        upstream.streams.get(timeout=30)
        end_streams(upstream)


def test_listening_is_no_activity(lab: Lab, upstream: Upstream) -> None:
    before = lab.ask("GET", "api/status").json()["last_activity"]
    with tab(lab) as socket:
        assert heard(socket)["type"] == "connected"
        upstream.events.put(event(7))
        assert heard(socket)["type"] == "event"
        socket.send("anything")
        upstream.streams.get(timeout=30)
        end_streams(upstream)
    assert lab.ask("GET", "api/status").json()["last_activity"] == before
