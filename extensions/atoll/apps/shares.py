"""What groups share, in jobs too: what is shared is the hub's setting, who may see it the hub's word."""

from __future__ import annotations

from collections.abc import Sequence

from atoll.hub.storage import StorageSection, shares_in_jobs
from atoll.jobs.ground import Shares, Users
from atoll.kit.kube.volumes import Directory


def shares_of(storage: StorageSection, users: Users) -> Shares:
    """The shared directories of a user's jobs, by the groups that she is in when it is asked."""

    def shares(user: str) -> Sequence[Directory]:
        if not any(share.jobs_claim for share in storage.shares.values()):
            return ()
        groups = users.groups(user)
        return () if groups is None else shares_in_jobs(storage, groups)

    return shares
