"""Who am I, the event stream, health, metrics, and what bad requests get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from atoll.kit import events
from atoll.kit.db import Database
from atoll.kit.home import Home

from tests.databases import url_of

from .whole import whole_service


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("service") / "home")


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    with whole_service(home) as address:
        yield address


def call(url: str, path: str, token: str = "ada", **more: object) -> httpx.Response:
    headers = {"Authorization": f"token {token}"}
    return httpx.get(f"{url}/api/v1/{path}", headers=headers, timeout=30, **more)  # type: ignore[arg-type]


def happen(home: Home, subject: str, *audience: str) -> None:
    """Something changes, as another replica of the service would record it."""
    database = Database(url_of(home))
    with database.write() as session:
        events.record(session, "dataset", subject, "changed", audience)
    database.close()


def heard(url: str, token: str, last: str, *, after: str = "", **headers: str) -> list[str]:
    """The subjects that a stream tells until `last` comes, beside the platform's own datasets."""
    found: list[str] = []
    query = f"?after={after}" if after else ""
    auth = {"Authorization": f"token {token}", **headers}
    with httpx.stream("GET", f"{url}/api/v1/events{query}", headers=auth, timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                subject = json.loads(line.removeprefix("data: "))["subject"]
                if not subject.startswith("ds-"):
                    found.append(subject)
                if subject == last:
                    return found
    raise AssertionError("the stream ended")


def test_a_caller_learns_who_they_are(url: str) -> None:
    me = call(url, "me").json()
    assert (me["name"], me["admin"], me["groups"], me["server"]) == ("ada", False, ["flyers"], None)


def test_a_server_is_known_by_its_token(url: str) -> None:
    assert call(url, "me", "ada-server").json()["server"] == "big"


def test_an_administrator_is_known(url: str) -> None:
    assert call(url, "me", "admin").json()["admin"] is True


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [("nobody", 401, "unauthenticated"), ("x" * 65, 401, "unauthenticated"),
     ("noscope", 403, "forbidden"), ("hub", 403, "forbidden")],
)  # fmt: skip
def test_a_token_that_will_not_do_is_told_so(url: str, token: str, status: int, code: str) -> None:
    answer = call(url, "me", token)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["hint"] or answer.json()["detail"]


def test_a_request_without_a_token_is_told_how_to_send_one(url: str) -> None:
    answer = httpx.get(f"{url}/api/v1/me")
    assert answer.status_code == 401
    assert "Authorization" in answer.json()["hint"]


def test_a_token_in_the_address_does_not_count(url: str) -> None:
    assert httpx.get(f"{url}/api/v1/me?token=ada").status_code == 401


def test_events_reach_those_who_may_see_them_and_nobody_else(url: str, home: Home) -> None:
    first = call(url, "me")  # the service is up
    assert first.status_code == 200
    happen(home, "start", "everyone")
    for subject, audience in [
        ("bobs", "user:bob"),
        ("adas", "user:ada"),
        ("flyers", "group:flyers"),
    ]:
        happen(home, subject, audience)
    happen(home, "last", "everyone")
    assert heard(url, "ada", "last", after="0") == ["start", "adas", "flyers", "last"]
    assert heard(url, "bob", "last", after="0") == ["start", "bobs", "last"]
    assert heard(url, "admin", "last", after="0") == ["start", "bobs", "adas", "flyers", "last"]


def test_a_stream_resumes_after_the_last_event_that_was_heard(url: str, home: Home) -> None:
    happen(home, "one", "everyone")
    happen(home, "two", "everyone")
    with httpx.stream(
        "GET", f"{url}/api/v1/events?after=0", headers={"Authorization": "token ada"}, timeout=20
    ) as stream:
        ids: list[str] = []
        for line in stream.iter_lines():
            if line.startswith("id: "):
                ids.append(line.removeprefix("id: "))
            if line.startswith("data: ") and json.loads(line[6:])["subject"] == "one":
                break
    happen(home, "three", "everyone")
    assert heard(url, "ada", "three", **{"Last-Event-ID": ids[-1]}) == ["two", "three"]


def test_health_says_whether_the_process_and_the_database_answer(url: str) -> None:
    assert httpx.get(f"{url}/healthz").text == "ok"
    assert httpx.get(f"{url}/readyz").text == "ok"


def test_metrics_count_requests_by_route_and_name_no_token(url: str) -> None:
    call(url, "me")
    text = httpx.get(f"{url}/metrics").text
    assert 'atoll_http_requests_total{method="GET",route="/api/v1/me",status="200"}' in text
    assert "token" not in text


@pytest.mark.parametrize("path", ["nothing", "servers/ada", "../../../etc/passwd", "%2e%2e/me"])
def test_an_address_of_nothing_is_a_problem_too(url: str, path: str) -> None:
    answer = call(url, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_description_is_served(url: str) -> None:
    assert httpx.get(f"{url}/api/v1/openapi.json").json()["openapi"].startswith("3.1")


def test_a_bad_cursor_is_no_error_of_the_platforms(url: str, tmp_path: Path) -> None:
    for cursor in ("x", "%00", "c-0", "9" * 200):
        assert call(url, f"checkpoints?cursor={cursor}").status_code < 500
