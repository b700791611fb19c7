"""What belongs to nobody in a cluster: listed by the command for administrators, and left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.kit.console import Exit

from ..cli.conftest import Shell
from .cluster import Cluster, eventually
from .kubernetes import Kubernetes


@pytest.fixture
def settings(kubernetes: Kubernetes) -> dict[str, object]:
    """The service looks after the pods of that cluster."""
    return {"kubernetes": kubernetes.section}


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Shell:
    """The administrator's."""
    return Shell(cluster.url.removesuffix("api/v1/"), tmp_path, "admin")


def test_where_there_are_none_it_says_so(shell: Shell) -> None:
    assert "Nothing is left behind." in shell.atoll("servers", "orphans").stderr
    assert shell.json("servers", "orphans") == []


def test_pods_and_volumes_of_nobody_are_listed_with_whose_they_were_and_why(
    cluster: Cluster, kubernetes: Kubernetes, shell: Shell
) -> None:
    cluster.start()
    kubernetes.pod("st-000000000000000000000000", "lost-pod", user="ghost")
    kubernetes.claim("claim-of-nobody", "ghost")
    found = eventually(lambda: shell.json("servers", "orphans"), lambda found: len(found) == 2)

    assert [(one["kind"], one["name"], one["user"]) for one in found] == [
        ("pod", "lost-pod", "ghost"),
        ("volume", "claim-of-nobody", "ghost"),
    ]
    shown = " ".join(shell.atoll("servers", "orphans").stdout.split())
    for word in ("lost-pod", "claim-of-nobody", "ghost", "may be unsaved", "no such user"):
        assert word in shown
    kubernetes.away(True)
    said = shell.atoll("servers", "orphans", status=Exit.UNAVAILABLE).stderr
    assert "Kubernetes" in said
    kubernetes.away(False)
    assert len(shell.json("servers", "orphans")) == 2, "nothing was removed"


def test_nobody_else_is_told(shell: Shell) -> None:
    said = shell.as_("ada").atoll("servers", "orphans", status=Exit.DENIED)
    assert "administrator" in said.stderr
    assert not said.stdout
