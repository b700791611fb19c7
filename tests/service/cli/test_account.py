"""`atoll whoami`, `login`, `logout` and what a shell without a login is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from atoll.kit.session import Credentials, Login, service_url

from .conftest import Shell


class SomethingElse(BaseHTTPRequestHandler):
    """Answers whatever it is asked with a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"<p/>")

    def log_message(self, *args: object) -> None:
        """Nothing: the test looks at what is told."""


def test_whoami_tells_name_platform_and_how_it_knows(ada: Shell) -> None:
    said = ada.atoll("whoami").stdout
    assert "ada" in said
    assert "ATOLL_TOKEN" in said
    assert ada.json("whoami")["groups"] == ["flyers"]
    server = ada.as_("ada-server").json("whoami")
    assert (server["name"], server["server"]) == ("ada", "big")
    assert "the default one" in ada.as_("ada-default").atoll("whoami").stdout


def test_a_login_with_a_token_is_kept_used_and_forgotten(ada: Shell) -> None:
    shell = ada.as_("")
    said = shell.atoll("whoami", status=3).stderr
    assert "atoll login" in said
    shell.atoll("login", ada.url, "--with-token", typed="wrong\n", status=3)
    shell.atoll("login", ada.url, "--with-token", typed="ada\n")
    assert json.loads(shell.atoll("whoami", "-o", "json").stdout)["name"] == "ada"
    assert "as before" in shell.atoll("login", ada.url).stderr
    shell.atoll("logout")
    shell.atoll("whoami", status=3)


def test_a_token_that_nobody_has_or_that_may_nothing_is_told_so(ada: Shell) -> None:
    assert "does not know this token" in ada.as_("gone").atoll("datasets", "list", status=3).stderr
    assert "custom:atoll:use" in ada.as_("noscope").atoll("datasets", "list", status=3).stderr


def test_a_platform_that_does_not_answer_is_told_so(ada: Shell) -> None:
    kept = Credentials(ada.folder / ".config" / "atoll" / "credentials.json")
    kept.keep(service_url("http://127.0.0.1:9"), Login("ada", "ada"))
    assert "does not answer" in ada.as_("").atoll("jobs", "list", status=6).stderr


@pytest.mark.parametrize("how", [[], ["--with-token"]])
@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "no-such-host.invalid"])
def test_nobody_is_asked_for_anything_where_nothing_answers(
    ada: Shell, address: str, how: list[str]
) -> None:
    said = ada.as_("").atoll("login", address, *how, status=6, typed="ada\nsecret\n").stderr
    assert "does not answer" in " ".join(said.split())
    assert "User" not in said


def test_what_answers_and_is_no_platform_is_told_so(ada: Shell) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SomethingElse) as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{other.server_port}"
        said = ada.as_("").atoll("login", address, "-u", "ada", status=6, typed="secret\n").stderr
        other.shutdown()
    assert "Is this the address of the platform?" in said


def test_who_is_not_logged_in_is_told_both_ways(ada: Shell) -> None:
    said = " ".join(ada.as_("").atoll("jobs", "list", status=3).stderr.split())
    assert "`atoll login URL`" in said
    assert "whoever started it needs only `atoll login`" in said


def test_no_platform_on_this_machine_is_told_so(ada: Shell) -> None:
    shell = ada.as_("")
    assert "Give its address" in shell.atoll("login", status=2).stderr
    assert json.loads(shell.atoll("status", "-o", "json", status=1).stdout)["phase"] == "down"
