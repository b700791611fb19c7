"""What is left out, what a start falls back to, what retention keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from atoll import oci
from atoll.checkpoints.policy import (
    MADE_ANEW,
    Candidate,
    Keepable,
    bytecode,
    candidates,
    expendable,
    left_out,
    significant,
    until_due,
)
from atoll.kit.likely_secrets import likely_secret
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "path",
    [
        "bin/python",
        "bin/python3.11",
        "bin/activate.fish",
        "bin/Activate.ps1",
        "pyvenv.cfg",
        "lib64",
        "lib/python3.11/site-packages/_atoll_platform.pth",
    ],
)
def test_what_names_this_place_is_made_anew(path: str) -> None:
    assert left_out(path.encode()) == MADE_ANEW


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".cache", "a cache"),
        ("work/.ipynb_checkpoints", "a cache"),
        ("core.1234", "a core dump"),
        ("core.py", None),
        ("bin/pythonic", None),
        ("bin/activate_all", None),
        ("share/pyvenv.cfg", None),
        ("lib/python3.11/site-packages/other.pth", None),
    ],
)
def test_caches_and_dumps_are_left_out_and_their_likes_are_not(
    path: str, reason: str | None
) -> None:
    assert left_out(path.encode()) == reason


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        (".netrc", True),
        ("etc/.aws/credentials", True),
        ("home/id_ed25519", True),
        (".env", True),
        ("id_ed25519.pub", False),
        ("netrc", False),
        ("lib/credentials", False),
    ],
)
def test_files_that_usually_hold_secrets_are_known_by_name(path: str, secret: bool) -> None:
    assert likely_secret(path.encode()) is secret


def test_bytecode_and_directories_are_no_change_worth_saving() -> None:
    source = oci.Change(b"lib/m.py", oci.Kind.FILE, 5)
    found = oci.Changes(
        added=(source, oci.Change(b"lib/__pycache__/m.cpython-311.pyc", oci.Kind.FILE, 9)),
        changed=(oci.Change(b"lib", oci.Kind.DIRECTORY, 0),),
        removed=(oci.Change(b"old.pyc", oci.Kind.FILE, 3),),
    )

    assert significant(found) == oci.Changes((source,), (), ())
    assert bytecode(b"a/__pycache__")
    assert not bytecode(b"a/pycache.py")


def test_a_start_falls_back_to_what_is_older_never_to_what_was_set_aside() -> None:
    history = [Candidate(digest, digest) for digest in ("new", "wanted", "old", "older")]

    found = candidates("wanted", history, "base")

    assert [one.digest for one in found] == ["wanted", "old", "older", "base"]


@given(st.lists(st.sampled_from("abcd")), st.sampled_from("abcde"))
def test_fallbacks_begin_with_what_is_wanted_end_with_the_base_and_repeat_nothing(
    history: list[str], wanted: str
) -> None:
    found = [c.digest for c in candidates(wanted, [Candidate(d, d) for d in history], "base")]

    assert found[0] == wanted
    assert found[-1] == "base"
    assert len(found) == len(set(found))


keepables = st.lists(
    st.builds(
        Keepable,
        id=st.uuids().map(str),
        digest=st.none() | st.sampled_from(["x", "y", "z"]),
        pinned=st.booleans(),
        repeated=st.booleans(),
    ).map(lambda one: replace(one, automatic=one.id < "5" and not one.repeated)),
    max_size=30,
)


@given(keepables, st.integers(1, 5), st.sets(st.sampled_from(["x", "y"])))
def test_retention_keeps_the_last_the_pinned_and_the_needed(
    some: list[Keepable], keep_last: int, needed: set[str]
) -> None:
    gone = set(expendable(some, keep_last=keep_last, needed=needed))

    lines = [one for one in some if not one.repeated and not one.automatic]
    assert not gone & {one.id for one in lines[:keep_last]}
    assert not gone & {one.id for one in some if one.pinned}
    assert not gone & {one.id for one in lines if one.digest in needed}
    kept = [one for one in lines[keep_last:] if one.id not in gone]
    assert all(one.pinned or one.digest in needed for one in kept)


@given(keepables, st.sets(st.sampled_from(["x", "y"])))
def test_of_automatic_checkpoints_the_newest_alone_stays_and_only_until_something_newer_is_saved(
    some: list[Keepable], needed: set[str]
) -> None:
    gone = set(expendable(some, keep_last=100, needed=needed))

    assert all(one.automatic or one.repeated for one in some if one.id in gone)
    kept = [
        (place, one)
        for place, one in enumerate(some)
        if one.automatic and not one.pinned and one.digest not in needed and one.id not in gone
    ]
    saved = [place for place, one in enumerate(some) if one.digest is not None and not one.repeated]
    assert all(place <= min(saved, default=place) for place, _ in kept)
    assert len([one for _, one in kept if one.digest is not None]) <= 1
    assert len([one for _, one in kept if one.digest is None]) <= 1


def test_a_failed_automatic_checkpoint_hides_none_that_is_ready() -> None:
    failed = Keepable("failed", None, pinned=False, repeated=False, automatic=True)
    ready = Keepable("ready", "x", pinned=False, repeated=False, automatic=True)
    stop = Keepable("stop", "y", pinned=False, repeated=False)

    assert expendable([failed, ready, stop], keep_last=1, needed=()) == []
    assert expendable([stop, failed, ready], keep_last=1, needed=()) == ["failed", "ready"]


NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@given(st.text(min_size=1), st.integers(1, 30 * 86400), st.integers(0, 60 * 86400))
def test_a_server_is_due_within_the_last_quarter_of_its_time(
    server: str, every_s: int, later_s: int
) -> None:
    wait_s = until_due(server, NOON, every_s, NOON)

    assert 0.75 * every_s <= wait_s <= every_s
    later = until_due(server, NOON, every_s, NOON + timedelta(seconds=later_s))
    assert later == pytest.approx(max(0.0, wait_s - later_s), abs=1e-3)


def test_servers_that_are_started_together_are_not_saved_together() -> None:
    due = [until_due(f"s-{n}", NOON, 1800, NOON) for n in range(300)]
    again = [until_due(f"s-{n}", NOON + timedelta(seconds=1), 1800, NOON) for n in range(300)]

    by_minute = Counter(int(wait_s // 60) for wait_s in due)
    assert max(by_minute.values()) < 70  # 40 of 300, as it comes
    assert due != again, "the lot is drawn anew each time"
