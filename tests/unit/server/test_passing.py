"""The lab's calls reach the service with the server's token, and nothing else of the browser."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.labserver import HUB_TOKEN, TOKEN, Answer, Lab, running
from tests.unit.server.upstream import Upstream

MIB = 2**20


def test_a_call_arrives_with_the_servers_token(lab: Lab, upstream: Upstream) -> None:
    answer = lab.ask("GET", "atoll/api/me")
    assert (answer.status, answer.json()) == (200, {"name": "ada"})
    assert answer.headers["Content-Type"] == "application/json"
    (request,) = upstream.received
    assert request.path == "/services/atoll/api/v1/me"
    assert request.headers["Authorization"] == f"token {HUB_TOKEN}"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_passes_with_its_body_and_status(
    lab: Lab, upstream: Upstream, method: str
) -> None:
    body = None if method in ("GET", "DELETE") else b'{"note": "\xc3\xa9"}'
    answer = lab.ask(method, "atoll/api/checkpoints/c-1", body=body)
    assert answer.status == (204 if method == "DELETE" else 200)
    (request,) = upstream.received
    assert (request.method, request.body) == (method, body or b"")


def test_a_problem_passes_unchanged(lab: Lab, upstream: Upstream) -> None:
    answer = lab.ask("GET", "atoll/api/missing")
    assert (answer.status, answer.json()) == (404, {"code": "not_found"})
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_nothing_of_the_browser_is_passed_on(lab: Lab, upstream: Upstream) -> None:
    lab.ask(
        "GET",
        "atoll/api/me?_xsrf=x&user=ada",
        Cookie="secret=1",
        Referer=f"http://127.0.0.1:{lab.port}/",
        X_Forwarded_User="root",
        Last_Event_ID="12",
        Accept="application/json",
    )
    (request,) = upstream.received
    assert request.path.endswith("/me?user=ada")
    given = {k: v for k, v in request.headers.items() if k not in ("Host", "User-Agent")}
    assert given == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": f"token {HUB_TOKEN}",
        "Connection": "keep-alive",
        "Last-Event-ID": "12",
    }


def test_nothing_of_the_services_headers_reaches_the_browser(lab: Lab, upstream: Upstream) -> None:
    assert "a=b" not in str(lab.ask("GET", "atoll/api/me").headers)


def test_a_redirect_is_not_followed_and_names_no_place(lab: Lab, upstream: Upstream) -> None:
    answer = lab.ask("GET", "atoll/api/elsewhere")
    assert answer.status == 302
    assert "Location" not in answer.headers
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fhub", "%2e%2e/%2e%2e/hub/api/users", "..%252f..", "me%2f..%2f..", "//evil.example/",
        "http://evil.example/", "me%0d%0aHost:%20evil", "me%00", "..%5c..%5c", "",
        "checkpoints/c-1/grants/group:x%2f..%2f..%2fc-2%2fgrants%2fgroup:x", "%2fevil.example/",
    ],
)  # fmt: skip
def test_an_address_outside_of_the_api_is_refused(lab: Lab, upstream: Upstream, path: str) -> None:
    answer = lab.ask("GET", f"atoll/api/{path}")
    assert answer.status == 422
    assert answer.json()["code"] == "invalid"
    assert not upstream.received


def test_a_name_with_a_slash_arrives_as_one_name(lab: Lab, upstream: Upstream) -> None:
    path = "checkpoints/c-1/grants/group%3A%2Fsea%2Flab"
    assert lab.ask("PUT", f"atoll/api/{path}").status == 200
    (request,) = upstream.received
    assert request.path == "/services/atoll/api/v1/checkpoints/c-1/grants/group:%2Fsea%2Flab"


def test_dots_are_not_resolved_out_of_the_api(lab: Lab, upstream: Upstream) -> None:
    assert lab.ask("GET", "atoll/api/../../../hub/api/users").status in (404, 422)
    assert not upstream.received


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_a_right_token_nothing_passes(
    lab: Lab, upstream: Upstream, method: str, token: str | None
) -> None:
    assert lab.ask(method, "atoll/api/me", token=token).status == 403
    assert not upstream.received


def browser(lab: Lab, method: str, *, xsrf: str | None, origin: str | None = None) -> Answer:
    cookies = lab.login()
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
    if xsrf is not None:
        headers["X_XSRFToken"] = cookies["_xsrf"] if xsrf == "right" else xsrf
    if origin is not None:
        headers["Origin"] = origin
    return lab.ask(method, "atoll/api/jobs", token=None, body=b"{}", **headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("xsrf", [None, "2|abc|def|1"])
def test_a_browser_cannot_be_tricked_into_a_change(
    lab: Lab, upstream: Upstream, method: str, xsrf: str | None
) -> None:
    assert browser(lab, method, xsrf=xsrf).status == 403
    assert not upstream.received


def test_a_browser_with_its_xsrf_token_may_change(lab: Lab, upstream: Upstream) -> None:
    assert browser(lab, "POST", xsrf="right").status == 200
    assert "Cookie" not in upstream.received[0].headers


def test_another_origin_may_not(lab: Lab, upstream: Upstream) -> None:
    answer = browser(lab, "POST", xsrf="right", origin="http://evil.example")
    assert answer.status in (403, 404)
    assert not upstream.received


def test_a_header_cannot_smuggle_a_second_one(lab: Lab, upstream: Upstream) -> None:
    lab.ask("GET", "atoll/api/me", Last_Event_ID="1 X-Evil: 1")
    (request,) = upstream.received
    assert "Last-Event-ID" not in request.headers


def test_two_lengths_in_one_request_are_refused(lab: Lab, upstream: Upstream) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=30)
    connection.putrequest("POST", f"{lab.base}atoll/api/jobs")
    connection.putheader("Authorization", f"token {TOKEN}")
    connection.putheader("Content-Length", "2")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(b"0\r\n\r\nGET /hub HTTP/1.1\r\n\r\n")
    assert connection.getresponse().status == 400
    connection.close()
    assert not upstream.received


def test_a_huge_body_is_refused_in_words(lab: Lab, upstream: Upstream) -> None:
    answer = lab.ask("POST", "atoll/api/jobs", body=bytes(65 * MIB))
    assert answer.status == 413
    assert answer.json()["code"] == "too_large"
    assert not upstream.received


def test_a_huge_body_without_a_length_is_refused_too(lab: Lab, upstream: Upstream) -> None:
    pieces: Iterator[bytes] = (bytes(MIB) for _ in range(65))
    answer = lab.ask("POST", "atoll/api/jobs", body=pieces)
    assert answer.status == 413
    assert not upstream.received


def test_half_an_answer_never_looks_like_a_whole_one(lab: Lab, upstream: Upstream) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        lab.ask("GET", "atoll/api/broken-off")


def test_calls_are_no_activity(lab: Lab, upstream: Upstream) -> None:
    before = lab.ask("GET", "api/status").json()["last_activity"]
    for _ in range(3):
        assert lab.ask("GET", "atoll/api/me").status == 200
    assert lab.ask("GET", "api/status").json()["last_activity"] == before


def test_info_says_whose_server_this_is(lab: Lab) -> None:
    assert lab.ask("GET", "atoll/info").json() == {
        "present": True,
        "user": "ada",
        "server": "gpu",
        "hubPrefix": "/hub/",
        "apiVersion": "v1",
        "notice": "",
    }


def test_info_is_for_who_is_logged_in(lab: Lab) -> None:
    assert lab.ask("GET", "atoll/info", token=None).status == 403


def free_port() -> int:
    with http.client.socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_while_the_service_is_away_the_answer_says_so(tmp_path: Path) -> None:
    environ = {
        "ATOLL_URL": f"http://127.0.0.1:{free_port()}/services/atoll/",
        "JUPYTERHUB_API_TOKEN": HUB_TOKEN,
    }
    with running(tmp_path, environ) as lab:
        answer = lab.ask("GET", "atoll/api/me")
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["hint"]


def test_outside_of_atoll_the_server_works_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path, {}) as lab:
        answer = lab.ask("GET", "atoll/api/me")
        info = lab.ask("GET", "atoll/info").json()
    assert answer.status == 503
    assert "not started by Atoll" in str(json.loads(answer.body)["detail"])
    assert info["present"] is False


def test_the_token_is_in_no_log(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = subprocess.run(
        ["grep", "-rl", HUB_TOKEN, str(tmp_path_factory.getbasetemp())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not found.stdout
