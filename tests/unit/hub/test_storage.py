"""Where homes are, and what wrong settings say."""

from __future__ import annotations

from typing import Any

import pytest
from atoll.apps.shares import shares_of
from atoll.hub import storage
from atoll.hub.storage import Share, StorageSection
from atoll.kit.errors import UnavailableError
from atoll.kit.kube.volumes import Directory
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "existing"}, "needs `claim`"),
        ({"kind": "nfs"}, "needs `claim`, or `nfs_server` and `nfs_path`"),
        ({"kind": "nfs", "nfs_server": "10.0.0.5"}, "needs `claim`, or"),
        ({"kind": "existing", "claim": "homes", "sub_path": "homes"}, "must contain {username}"),
        ({"shares": {"a": {}}}, "shares.a needs `claim`"),
        ({"sub_path": "../{username}"}, "must not lead out"),
        ({"mount": "home"}, "should match pattern"),
        ({"capacity": "lots"}, "should match pattern"),
        ({"kind": "ceph"}, "dynamic"),
    ],
)
def test_a_wrong_setting_says_what_is_missing(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        StorageSection.model_validate(values)
    assert said in str(error.value)


def test_a_home_that_ends_with_its_server_is_an_empty_directory() -> None:
    section = StorageSection(kind="none")
    assert storage.home_volume(section)["emptyDir"] == {}
    assert storage.home_mount(section) == {"name": "home", "mountPath": "/home/jovyan"}


def test_a_home_is_in_a_claim_of_its_own_in_that_of_all_or_in_none() -> None:
    assert storage.home_claim(StorageSection(), "claim-ada") == "claim-ada"
    assert storage.home_claim(StorageSection(kind="existing", claim="homes"), "x") == "homes"
    assert storage.home_claim(StorageSection(kind="nfs", nfs_server="a", nfs_path="/"), "x") == ""
    assert storage.home_claim(StorageSection(kind="none"), "x") == ""


def test_a_share_of_no_group_is_seen_by_all_and_written_by_its_writers() -> None:
    share = Share(claim="x", writers=["teachers"])
    assert share.open_to([])
    assert not share.written_by(["students"])
    assert share.written_by(["teachers"])


def test_homes_on_a_network_are_told_apart() -> None:
    assert not StorageSection().on_network
    assert StorageSection(access_modes=["ReadWriteMany"]).on_network
    assert StorageSection(kind="existing", claim="x").on_network


COURSE = StorageSection(
    kind="nfs",
    claim="homes",
    shares={
        "course": Share(groups=["students"], writers=["teachers"], jobs_claim="homes"),
        "data": Share(claim="data", path="raw/2026", mount="/data", jobs_claim="data-of-jobs"),
        "exams": Share(groups=["teachers"], writers=["teachers"], jobs_claim="homes"),
        "here": Share(claim="servers-only"),
    },
)


def _seen(found: list[Directory]) -> dict[str, tuple[str, str | None, bool]]:
    return {one.mount: (one.claim, one.path, one.read_only) for one in found}


def test_jobs_have_the_shares_that_lie_in_a_claim_of_theirs() -> None:
    assert _seen(storage.shares(COURSE, ["students"])) == {
        "/srv/shared/course": ("homes", "shared/course", True),
        "/data": ("data", "raw/2026", True),
        "/srv/shared/here": ("servers-only", None, True),
    }
    assert _seen(storage.shares_in_jobs(COURSE, ["students"])) == {
        "/srv/shared/course": ("homes", "shared/course", True),
        "/data": ("data-of-jobs", "raw/2026", True),
    }


@pytest.mark.parametrize(
    ("groups", "seen"),
    [
        ([], {"/data": False}),
        (["Students", "student", "teachers "], {"/data": False}),
        (["students"], {"/data": False, "/srv/shared/course": False}),
        (["teachers"], {"/data": False, "/srv/shared/course": True, "/srv/shared/exams": True}),
    ],
)
def test_a_job_sees_and_writes_what_a_server_of_hers_does_and_no_more(
    groups: list[str], seen: dict[str, bool]
) -> None:
    for found in (storage.shares_in_jobs(COURSE, groups), storage.shares(COURSE, groups)):
        written = {one.mount: not one.read_only for one in found if one.claim != "servers-only"}
        assert written == seen


def test_a_claim_beside_homes_that_are_each_a_claim_is_no_home() -> None:
    section = StorageSection(claim="team", shares={"team": Share(claim="team")})
    assert storage.known(section) == {}
    assert _seen(storage.shares(section, [])) == {"/srv/shared/team": ("team", None, True)}


class Users:
    """The hub, which may change its mind, or be away."""

    def __init__(self, known: dict[str, list[str]] | None) -> None:
        self.known = known

    def groups(self, user: str) -> frozenset[str] | None:
        """Her groups now."""
        if self.known is None:
            raise UnavailableError("The hub does not answer.")
        return frozenset(self.known[user]) if user in self.known else None


def test_who_shares_is_asked_of_the_hub_for_each_job() -> None:
    users = Users({"ada": ["students"], "bo": []})
    shares = shares_of(COURSE, users)
    assert [one.mount for one in shares("ada")] == ["/srv/shared/course", "/data"]
    assert [one.mount for one in shares("bo")] == ["/data"]
    assert shares("gone") == (), "the hub has no such user"
    users.known = {"ada": []}
    assert [one.mount for one in shares("ada")] == ["/data"], "she has left the group"


def test_nobody_is_taken_for_a_member_while_the_hub_is_away() -> None:
    with pytest.raises(UnavailableError):
        shares_of(COURSE, Users(None))("ada")
    nothing = StorageSection(shares={"a": Share(claim="a", groups=["x"])})
    assert shares_of(nothing, Users(None))("ada") == (), "jobs that share nothing need no hub"
