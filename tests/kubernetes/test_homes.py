"""Homes in one claim that was there before, and a directory in it that groups share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.kubernetes.driver import kubectl
from tests.kubernetes.hub_on_host import SERVERS, Guest, Host, on_host

pytestmark = [pytest.mark.kubernetes, pytest.mark.on_node, pytest.mark.timeout(300)]

CLAIM: Final = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "all-homes", "namespace": SERVERS},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}},
}
STORAGE: Final[dict[str, Any]] = {
    "kind": "existing",
    "claim": "all-homes",
    "shares": {"course": {"groups": ["students"], "writers": ["teachers"]}},
}
NOTE: Final = "/srv/shared/course/note"


def settings(storage: dict[str, Any]) -> dict[str, Any]:
    """The hub's."""
    small = {"title": "Small", "cpu": 0.2, "memory": "128M", "cpu_guarantee": 0.01}
    return {"hub": {"profiles": {"small": small}, "storage": storage}}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The platform; nobody saves what ends there."""
    with on_host(tmp_path_factory.mktemp("homes"), settings(STORAGE)) as host:
        kubectl("create", "-f", "-", given=json.dumps(CLAIM).encode())
        yield host


def member(host: Host, name: str, group: str | None = None) -> Guest:
    """Somebody of this group, with a running server."""
    guest = host.user(name)
    if group is not None:
        root = host.user("root")
        assert root.api("POST", f"groups/{group}").status_code in (201, 409)
        joined = root.api("POST", f"groups/{group}/users", json={"users": [name]})
        assert joined.is_success, joined.text
    guest.start()
    return guest


def home(guest: Guest) -> str:
    """The directory of the newest server's home in the claim."""
    [notebook] = [one for one in guest.pod["spec"]["containers"] if one["name"] == "notebook"]
    mounts = {one["mountPath"]: one for one in notebook["volumeMounts"]}
    return str(mounts["/home/jovyan"]["subPath"])


def test_who_may_write_shares_with_who_may_read_and_with_nobody_else(host: Host) -> None:
    tess = member(host, "tess", "teachers")
    tess.sh(f"echo read this > {NOTE} && echo mine > $HOME/diary")
    stu = member(host, "stu", "students")
    assert stu.sh(f"cat {NOTE}") == "read this\n"
    assert stu.sh(f"echo no > {NOTE} || echo refused", check=False).endswith("refused\n")
    assert stu.sh("ls -A $HOME") == "", "her home is hers"
    eve = member(host, "eve")
    assert eve.sh(f"cat {NOTE} || echo none", check=False).endswith("none\n")
    assert eve.sh("ls -d /srv/shared || echo none", check=False).endswith("none\n")
    assert len({home(one) for one in (tess, stu, eve)}) == 3
    for one in (tess, eve):
        one.stop()


def test_another_way_to_name_homes_moves_nobodys(host: Host) -> None:
    stu = host.user("stu")
    before = home(stu)
    stu.sh("echo mine > $HOME/diary")
    host.settings = settings({**STORAGE, "sub_path": "elsewhere/{username}"})
    host.write()
    host.kill("hub")
    host.begin("hub")
    stu = host.user("stu")
    stu.start("second")
    assert home(stu) == before
    assert stu.sh("cat $HOME/diary") == "mine\n"
    stu.stop("second")
    stu.stop()
    new = member(host, "nell")
    assert home(new).startswith("elsewhere/")
    new.stop()


def test_the_home_is_remembered_when_the_server_that_had_it_first_is_removed(host: Host) -> None:
    kim = host.user("kim")
    kim.start("first")
    before = home(kim)
    kim.stop("first")
    removed = kim.api("DELETE", f"users/{kim.name}/servers/first", json={"remove": True})
    assert removed.status_code in (202, 204), removed.text
    host.settings = settings(STORAGE)  # as it was before
    host.write()
    host.kill("hub")
    host.begin("hub")
    kim = host.user("kim")
    kim.start("second")
    assert home(kim) == before
    kim.stop("second")
