"""Where homes are, and what wrong settings say."""

from __future__ import annotations

from typing import Any

import pytest
from atoll.hub import storage
from atoll.hub.storage import Share, StorageSection
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


def test_a_share_of_no_group_is_seen_by_all_and_written_by_its_writers() -> None:
    share = Share(claim="x", writers=["teachers"])
    assert share.open_to([])
    assert not share.written_by(["students"])
    assert share.written_by(["teachers"])


def test_homes_on_a_network_are_told_apart() -> None:
    assert not StorageSection().on_network
    assert StorageSection(access_modes=["ReadWriteMany"]).on_network
    assert StorageSection(kind="existing", claim="x").on_network
