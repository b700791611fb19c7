"""People log in, start servers and stop them; nobody reaches what is another's."""

from __future__ import annotations

import threading

import httpx
import pytest
from atoll.apps.announcing import way_in_link

from hub_config.auth_secrets import user_password
from tests.platform.driver import Platform, User, eventually

pytestmark = pytest.mark.platform


def test_two_users_start_and_stop_servers_at_the_same_time(platform: Platform) -> None:
    ada, bo = platform.user("ada"), platform.user("bo")
    ada.start()
    bo.start()
    assert ada.lab().get("api/status").status_code == 200
    assert bo.lab().get("api/status").status_code == 200
    ada.stop()
    assert bo.lab().get("api/status").status_code == 200
    bo.stop()


def test_a_user_runs_a_named_server_beside_the_default_one(platform: Platform) -> None:
    cy = platform.user("cy")
    cy.start()
    cy.start("second")
    assert cy.lab().process.pid != cy.lab("second").process.pid
    cy.stop()
    assert cy.lab("second").get("api/status").status_code == 200
    cy.stop("second")


def test_a_wrong_password_lets_nobody_in(platform: Platform) -> None:
    answer = User(platform, "ada").log_in("wrong")
    assert answer.status_code == 403
    assert "Invalid username or password" in answer.text


def test_the_password_of_users_does_not_let_an_administrator_in(platform: Platform) -> None:
    administrator = platform.user(_administrator(platform), admin=True).name
    answer = User(platform, administrator).log_in(user_password(platform.home))
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["../eve", ".eve", "e/ve", "e" * 64, "eve space", "ève"])
def test_a_name_that_is_no_plain_directory_name_is_refused(platform: Platform, name: str) -> None:
    answer = User(platform, name).log_in(user_password(platform.home))
    assert answer.status_code in (400, 403)


def test_the_printed_link_logs_the_administrator_in_once(platform: Platform) -> None:
    link = way_in_link(platform.home, platform.url)
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(link)
        assert answer.is_redirect
        assert "token" not in answer.headers["location"], "it would become a choice of the server"
        me = browser.get(f"{platform.url}hub/api/user").json()
    assert me["admin"]
    with httpx.Client(trust_env=False) as another:
        answer = another.get(link)
    assert answer.status_code == 403
    assert "used already" in answer.text


def test_a_new_link_ends_the_one_before(platform: Platform) -> None:
    old = way_in_link(platform.home, platform.url)
    way_in_link(platform.home, platform.url)
    assert httpx.get(old, trust_env=False).status_code == 403


def test_what_is_anothers_is_out_of_reach(platform: Platform) -> None:
    ada, eve = platform.user("ada"), platform.user("eve")
    ada.start()
    path = ada.lab().path
    token = {"Authorization": f"token {eve.token()}"}
    assert eve.http.get(f"{path}api/contents", headers=token).status_code == 403
    assert eve.api("DELETE", "users/ada/server").status_code == 404
    assert eve.api("GET", "users/ada").status_code == 404
    theirs = eve.http.get(f"{platform.service}servers/ada/-", headers=token)
    assert theirs.status_code == 404
    ada.stop()


def test_nobody_changes_the_platforms_own_python_in_jupyterlab(platform: Platform) -> None:
    """Its extension manager installs for the Python that the server runs on, and switches off there."""
    fay = platform.user("fay")
    fay.start()
    lab, token = f"{fay.lab().path}lab/api", {"Authorization": f"token {fay.token()}"}
    asked = {"cmd": "uninstall", "extension_name": "there-is-none"}
    told = fay.http.post(f"{lab}/extensions", json=asked, headers=token)
    assert told.json()["message"] == "Extension removal not supported."
    unwanted = "@jupyterlab/launcher-extension:plugin"
    asked = {"cmd": "disable", "plugin_name": unwanted}
    assert fay.http.post(f"{lab}/plugins", json=asked, headers=token).is_success
    [written] = (platform.home.path / "homes" / "fay").rglob("page_config.json")
    assert unwanted in written.read_text()
    fay.stop()


def test_a_servers_token_holds_the_least_scopes_and_names_its_server(platform: Platform) -> None:
    dee = platform.user("dee")
    dee.start("lab")
    variables = dee.lab("lab").process.environ()
    headers = {"Authorization": f"token {variables['JUPYTERHUB_API_TOKEN']}"}
    found = httpx.get(f"{platform.url}hub/api/user", headers=headers, trust_env=False).json()
    grown = {"read:users:activity!user=dee", "users:activity!user=dee"}
    own = {"access:servers!server=dee/lab", "custom:atoll:use!server=dee/lab"}
    assert set(found["scopes"]) - grown - own <= {
        "read:users:name!user=dee",
        "read:users:groups!user=dee",
    }
    assert own <= set(found["scopes"])
    me = httpx.get(f"{platform.service}me", headers=headers, trust_env=False).json()
    assert (me["name"], me["server"], me["admin"]) == ("dee", "lab", False)
    dee.stop("lab")


def test_an_administrators_server_does_not_administer(platform: Platform) -> None:
    administrator = platform.user(_administrator(platform), admin=True)
    administrator.start()
    token = administrator.lab().process.environ()["JUPYTERHUB_API_TOKEN"]
    headers = {"Authorization": f"token {token}"}
    me = httpx.get(f"{platform.service}me", headers=headers, trust_env=False).json()
    assert not me["admin"]
    assert (
        httpx.get(f"{platform.url}hub/api/users", headers=headers, trust_env=False).status_code
        == 403
    )
    administrator.stop()


def test_no_command_line_holds_a_secret(platform: Platform) -> None:
    flo = platform.user("flo")
    flo.start()
    process = flo.lab().process
    secrets = [path.read_text("ascii") for path in platform.home.secrets.iterdir()]
    secrets.append(process.environ()["JUPYTERHUB_API_TOKEN"])
    lines = [" ".join(process.cmdline())]
    lines += [" ".join(_process(platform, part).cmdline()) for part in ("proxy", "hub", "service")]
    assert not [line for line in lines for secret in secrets if secret in line]
    flo.stop()


def test_the_platforms_own_secrets_do_not_reach_a_server(platform: Platform) -> None:
    gus = platform.user("gus")
    gus.start()
    values = set(gus.lab().process.environ().values())
    for path in platform.home.secrets.iterdir():
        assert path.read_text("ascii") not in values, path.name
        assert path.stat().st_mode & 0o077 == 0, path.name
    gus.stop()


def test_a_start_that_cannot_be_says_why(platform: Platform) -> None:
    ada = platform.user("ada")
    for options, expected in [
        ({"environment": "nonsense"}, "no environment"),
        ({"environment": "sha256:" + "0" * 64}, "There is no such saved environment"),
        ({"profile": "gpu"}, "There is no profile"),
    ]:
        answer = ada.api("POST", "users/ada/server", json={"user_options": options})
        assert answer.status_code in (201, 202, 409, 422), answer.text
        page = eventually(
            lambda: ada.http.get("hub/spawn-pending/ada"),
            lambda found: 'role="alert"' in found.text,
        )
        assert expected in page.text
    ada.start()  # saying nothing, which chooses none of these again
    ada.stop()


def test_the_spawn_page_needs_no_script(platform: Platform) -> None:
    hal = platform.user("hal")
    page = hal.http.get("hub/spawn/hal").text
    assert "Start fresh" in page
    form = {"environment": "base", "profile": "standard"}
    answer = hal.http.post(f"hub/spawn/hal?_xsrf={hal.xsrf()}", data=form)
    assert answer.is_redirect
    assert "starting" in hal.http.get(answer.headers["location"]).text
    hal.wait_ready()
    hal.stop()


def test_a_new_home_has_the_demos_and_a_removed_one_stays_removed(platform: Platform) -> None:
    ida = platform.user("ida")
    ida.start()
    demos = platform.home.homes / "ida" / "demos"
    shown = sorted(path.name for path in demos.iterdir())
    assert shown
    ida.stop()
    demos.rename(demos.with_name("mine"))
    ida.start()
    assert not demos.exists()
    ida.stop()


def test_files_in_the_home_do_not_break_the_server(platform: Platform) -> None:
    jo = platform.user("jo")
    home = platform.home.homes / "jo"
    home.mkdir()
    for name in ("json.py", "tornado.py", "jupyter_server.py"):
        (home / name).write_text("raise RuntimeError('taken from the home')\n")
    jo.start()
    assert jo.lab().get("api/status").status_code == 200
    jo.stop()


def _administrator(platform: Platform) -> str:
    from hub_config.settings import HubSection

    return HubSection().administrators[0]


def _process(platform: Platform, part: str):  # type: ignore[no-untyped-def]
    import psutil

    return psutil.Process(platform.pid(part))


def test_whoever_wants_to_start_a_server_that_is_stopping_gets_to_the_start_page(
    platform: Platform,
) -> None:
    eve = platform.user("eve")
    eve.start("slow")
    eve.lab("slow").process.suspend()  # it cannot end by itself, which takes the hub's grace time
    elsewhere = threading.Thread(target=platform.user("eve").stop, args=("slow",))
    elsewhere.start()
    eventually(lambda: eve.servers()["slow"]["pending"], lambda pending: pending == "stop")
    stopping = eve.http.get("hub/spawn/eve/slow", follow_redirects=True)
    assert "Your server is stopping" in stopping.text
    assert '<meta http-equiv="refresh" content="1; url=/hub/spawn/eve/slow" />' in stopping.text
    form = eventually(
        lambda: eve.http.get("hub/spawn/eve/slow", follow_redirects=True),
        lambda page: "Your server is stopping" not in page.text,
    )
    assert "Continue where you stopped" in form.text, form.text
    elsewhere.join()


def test_whoever_was_led_to_a_server_that_has_just_ended_gets_to_its_start_page(
    platform: Platform,
) -> None:
    fay = platform.user("fay")
    fay.start("brief")
    fay.stop("brief")  # JupyterHub forgets a named server then
    late = fay.http.get("hub/spawn-pending/fay/brief")
    assert (late.status_code, late.headers["location"]) == (302, "/hub/spawn/fay/brief")
    assert "Continue where you stopped" in fay.http.get(late.headers["location"]).text
    for others in (
        "root",
        "nobody-here",
    ):  # whose servers are no business of hers, if there are any
        assert fay.http.get(f"hub/spawn-pending/{others}/brief").status_code == 404
    stranger = httpx.get(f"{platform.url}hub/spawn-pending/fay/brief", trust_env=False)
    assert "/hub/login" in stranger.headers["location"]
