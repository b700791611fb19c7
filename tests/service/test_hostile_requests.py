"""Every route meets made-up requests, from users of every kind: never a 5xx, always a problem."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from atoll.apps.api import create_api
from atoll.kit.home import Home
from hypothesis import HealthCheck, settings
from schemathesis.core.transport import Response

from tests.exploring import examples

from .whole import whole_service

schema = schemathesis.openapi.from_dict(create_api().openapi())
schema = schema.exclude(path="/api/v1/events")  # a stream without an end: asked by hand below


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with whole_service(Home(tmp_path_factory.mktemp("service") / "home")) as address:
        yield address


def check(response: Response) -> None:
    assert response.status_code < 500 or response.status_code in (503, 507), response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"], response.text
        problem = response.json()
        assert problem["detail"]
        assert problem["code"]


STRANGE = ["-1", "", "x", "1e3", "\u0661", "\0", " 1", "1.5", "9" * 18, "9" * 19, "9" * 5000,
           str(2**63), str(2**64), "0x10", "null", "true", "1;2", "%", "é"]  # fmt: skip


def ask_for_events(url: str, after: str | None, headers: dict[str, bytes]) -> tuple[int, str]:
    """The answer's status and type; the stream itself is left at its first line."""
    auth = {"Authorization": b"token ada", **headers}
    params = {} if after is None else {"after": after}
    where = f"{url}/api/v1/events"
    with httpx.stream("GET", where, params=params, headers=auth, timeout=20) as answer:
        if answer.status_code == 200:
            assert next(answer.iter_lines()) in (": welcome", "event: reset")
        return answer.status_code, answer.headers["content-type"].partition(";")[0]


EVENTS = (200, "text/event-stream")
REFUSED = (422, "application/problem+json")


@pytest.mark.parametrize("number", STRANGE)
def test_no_number_breaks_the_stream_of_events(url: str, number: str) -> None:
    assert ask_for_events(url, number, {}) in (EVENTS, REFUSED)
    if number.isprintable():
        header = {"Last-Event-ID": number.strip().encode()}
        assert ask_for_events(url, None, header) in (EVENTS, REFUSED)


@pytest.mark.parametrize(("number", "answer"), [("9" * 18, EVENTS), ("9" * 19, REFUSED)])
def test_the_stream_of_events_begins_at_a_number_that_the_database_knows(
    url: str, number: str, answer: tuple[int, str]
) -> None:
    assert ask_for_events(url, number, {}) == answer
    assert ask_for_events(url, None, {"Last-Event-ID": number.encode()}) == answer


@pytest.mark.timeout(300)
@pytest.mark.parametrize("token", ["ada", "hub"])
@schema.parametrize()
@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_a_route(case: schemathesis.Case, token: str, url: str) -> None:
    check(case.call(base_url=url, headers={"Authorization": f"token {token}"}))
