"""`atoll whoami`, `login`, `logout` and what a shell without a login is told."""

from __future__ import annotations

import json

from atoll.kit.session import Credentials, Login, service_url

from .conftest import Shell


def test_whoami_tells_name_platform_and_how_it_knows(ada: Shell) -> None:
    said = ada.atoll("whoami").stdout
    assert "ada" in said
    assert "ATOLL_TOKEN" in said
    assert ada.json("whoami")["groups"] == ["flyers"]
    server = ada.as_("ada-server").json("whoami")
    assert (server["name"], server["server"]) == ("ada", "big")


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


def test_no_platform_on_this_machine_is_told_so(ada: Shell) -> None:
    shell = ada.as_("")
    assert "Give its address" in shell.atoll("login", status=2).stderr
    assert json.loads(shell.atoll("status", "-o", "json", status=1).stdout)["phase"] == "down"
