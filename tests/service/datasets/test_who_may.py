"""Who may see, use and change a dataset, and which one a reference means."""

from __future__ import annotations

import pytest
from atoll.datasets import client
from atoll.datasets.models import Dataset, DatasetRequest, GrantRequest, Location
from atoll.kit.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from atoll.kit.events import EventRow
from pydantic import ValidationError
from sqlalchemy import select

from .platform import Atoll


def shop(atoll: Atoll, **options: object) -> Dataset:
    return atoll.added("shop", atoll.write("shop.csv", "a,b\n1,x\n2,y\n"), **options)


def grant(atoll: Atoll, *grants: str, who: str = "ada") -> Dataset:
    return atoll.send(client.grant("shop", GrantRequest(grants=list(grants))), who)


def audiences(atoll: Atoll, dataset: str) -> list[tuple[str, list[str]]]:
    with atoll.rules.ground.database.read() as session:
        rows = session.scalars(select(EventRow).where(EventRow.subject == dataset))
        return [(row.change, row.audience) for row in rows]


def test_anothers_dataset_does_not_exist(atoll: Atoll) -> None:
    mine = shop(atoll)

    for ref in (mine.id, "shop", "ada:shop"):
        for call in (
            client.dataset(ref),
            client.preview(ref),
            client.sample(ref),
            client.access(ref),
            client.probe(ref),
            client.grant(ref, GrantRequest(grants=["everyone"])),
            client.remove(ref),
        ):
            with pytest.raises(NotFoundError):
                atoll.send(call, "bob")  # type: ignore[arg-type]  # calls of many types
    assert atoll.send(client.datasets(), "bob").items == []


@pytest.mark.parametrize("principal", ["everyone", "user:bob", "group:sales"])
def test_who_has_a_grant_uses_it_and_changes_nothing(atoll: Atoll, principal: str) -> None:
    mine = shop(atoll)
    grant(atoll, principal, "user:cy")

    seen = atoll.send(client.dataset("shop"), "bob")
    assert (seen.id, seen.grants) == (mine.id, [principal])  # of cy nothing is told
    assert [found.id for found in atoll.send(client.datasets(), "bob").items] == [mine.id]
    assert len(atoll.send(client.preview("ada:shop"), "bob").rows) == 2
    assert atoll.send(client.access(mine.id), "bob").location.path.endswith("shop.csv")
    for call in (
        client.probe("shop"),
        client.grant("shop", GrantRequest(grants=[])),
        client.remove("shop"),
    ):
        with pytest.raises(ForbiddenError, match="belongs to ada"):
            atoll.send(call, "bob")  # type: ignore[arg-type]  # calls of many types


def test_a_grant_that_is_taken_back_ends_at_once(atoll: Atoll) -> None:
    mine = shop(atoll)
    grant(atoll, "user:bob")
    assert atoll.send(client.preview("shop"), "bob").sampled == 2
    grant(atoll)

    with pytest.raises(NotFoundError):
        atoll.send(client.preview("shop"), "bob")
    assert audiences(atoll, mine.id)[-1] == ("changed", ["user:ada", "user:bob"])


def test_events_go_to_the_owner_and_to_whom_it_is_granted(atoll: Atoll) -> None:
    mine = shop(atoll, grants=["group:sales", "group:sales"])
    atoll.send(client.remove("shop"))

    wanted = ["group:sales", "user:ada"]
    assert audiences(atoll, mine.id) == [
        ("created", wanted),
        ("changed", wanted),
        ("removed", wanted),
    ]


def test_an_administrator_manages_everything(atoll: Atoll) -> None:
    mine = shop(atoll)
    assert atoll.send(client.dataset("ada:shop"), "admin").id == mine.id
    assert len(atoll.send(client.datasets(), "admin").items) == 1
    atoll.send(client.remove(mine.id), "admin")
    assert atoll.send(client.datasets()).items == []
    assert not (atoll.home.datasets / mine.id).exists()


def test_only_administrators_add_the_platforms_own(atoll: Atoll) -> None:
    with pytest.raises(ForbiddenError):
        shop(atoll, platform=True)
    ours = shop(atoll, platform=True, grants=["everyone"], who="admin")
    assert ours.owner == ""
    with pytest.raises(ForbiddenError, match="belongs to the platform"):
        atoll.send(client.remove("shop"))


def test_a_name_means_ones_own_then_the_platforms_then_a_granted_one(atoll: Atoll) -> None:
    ours = shop(atoll, platform=True, grants=["everyone"], who="admin")
    bobs = shop(atoll, grants=["everyone"], who="bob")
    assert atoll.send(client.dataset("shop")).id == ours.id
    assert atoll.send(client.dataset(":shop")).id == ours.id
    assert atoll.send(client.dataset("bob:shop")).id == bobs.id
    assert atoll.send(client.dataset("shop"), "bob").id == bobs.id

    atoll.send(client.remove(ours.id), "admin")
    assert atoll.send(client.dataset("shop")).id == bobs.id
    shop(atoll, grants=["user:ada"], who="admin")
    with pytest.raises(ConflictError, match="bob:shop, root:shop"):
        atoll.send(client.dataset("shop"))
    mine = shop(atoll)
    assert atoll.send(client.dataset("shop")).id == mine.id


def test_a_dataset_that_one_may_not_use_hides_none_that_one_may(atoll: Atoll) -> None:
    shop(atoll, platform=True, grants=["group:finance"], who="admin")
    granted = shop(atoll, grants=["user:bob"])
    assert atoll.send(client.dataset("shop"), "bob").id == granted.id
    with pytest.raises(NotFoundError):
        atoll.send(client.dataset(":shop"), "bob")


def test_one_owner_has_a_name_once(atoll: Atoll) -> None:
    shop(atoll)
    with pytest.raises(ConflictError, match="already"):
        shop(atoll)
    assert len(atoll.send(client.datasets()).items) == 1


@pytest.mark.parametrize(
    "name",
    ["", " ", "two words", "Ümlaut", "dötted", "../up", "a/b", "x" * 300, "UPPER", "-x", "x-",
     "a:b", "0x", "ds-0123456789abcdef012345", "a\x00b", "a..b"],
)  # fmt: skip
def test_names_that_nothing_should_have_are_refused(atoll: Atoll, name: str) -> None:
    with pytest.raises(InvalidError):
        atoll.register(name, atoll.write("t.csv", "a\n1\n"))


@pytest.mark.parametrize("principal", ["bob", "user:", "admins", "group:" + "x" * 300, "*"])
def test_grants_to_what_is_no_principal_are_refused(atoll: Atoll, principal: str) -> None:
    shop(atoll)
    with pytest.raises(ValidationError):
        GrantRequest(grants=[principal])
    with pytest.raises(InvalidError):
        atoll.send(client.grant("shop", GrantRequest.model_construct(grants=[principal])))


def test_grants_have_a_limit_however_they_are_said(atoll: Atoll) -> None:
    many = [f"user:u{number}" for number in range(1001)]
    location = Location(path="x.csv")
    for call in (
        client.add(DatasetRequest.model_construct(name="x", location=location, grants=many)),
        client.grant("x", GrantRequest.model_construct(grants=many)),
    ):
        with pytest.raises(InvalidError, match="1000"):
            atoll.send(call)


def test_a_format_that_nobody_reads_is_refused(atoll: Atoll) -> None:
    request = DatasetRequest(name="x", location=Location(path="x.csv"), format="excel")
    with pytest.raises(InvalidError, match="excel") as refused:
        atoll.send(client.add(request))
    assert "csv" in (refused.value.hint or "")


def test_a_jobs_read_is_recorded_and_a_persons_is_not(atoll: Atoll) -> None:
    mine = shop(atoll)
    atoll.send(client.access("shop"))
    assert atoll.reads.reads == []
    atoll.send(client.access("shop"), "job-of-ada")
    assert atoll.reads.reads == [("j-1", mine.id)]


def test_a_token_without_the_scope_and_one_of_nobody_are_refused(atoll: Atoll) -> None:
    with pytest.raises(ForbiddenError):
        atoll.send(client.datasets(), "noscope")
    with pytest.raises(UnauthenticatedError):
        atoll.send(client.datasets(), "expired")


def test_lists_come_in_pages_newest_first_and_by_part_of_the_name(atoll: Atoll) -> None:
    source = atoll.write("t.csv", "a\n1\n")
    names = [f"set{number}" for number in range(5)]
    for name in names:
        atoll.register(name, source)

    seen: list[str] = []
    cursor = None
    while True:
        page = atoll.send(client.datasets(cursor=cursor, limit=2))
        seen += [found.name for found in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == names[::-1]
    assert [found.name for found in atoll.send(client.datasets(name="ET3")).items] == ["set3"]
    assert atoll.send(client.datasets(name="%")).items == []
