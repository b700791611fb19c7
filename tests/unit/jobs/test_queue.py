"""Who may begin: tables of how a queue stands and what is decided."""

from __future__ import annotations

import pytest
from atoll.jobs.queue import Line, Waiting, admitted, decide
from hypothesis import given
from hypothesis import strategies as st


def ready(id_: str) -> Waiting:
    return Waiting(id_, ready=True)


def saving(id_: str) -> Waiting:
    return Waiting(id_, ready=False, reason="saving_environment", message="It is being saved.")


def new(id_: str) -> Waiting:
    return Waiting(id_, ready=False)


@pytest.mark.parametrize(
    ("places", "active", "waiting", "admitted", "position", "reason", "message"),
    [
        (2, 0, [ready("me")], True, 1, "its_turn", "It is about to begin."),
        (2, 1, [ready("me")], True, 1, "its_turn", "It is about to begin."),
        (2, 2, [ready("me")], False, 1, "queue_full", "You are next; 2 of 2 places are in use."),
        (1, 1, [ready("me")], False, 1, "queue_full", "You are next; the only place is in use."),
        (
            2,
            2,
            [ready("a"), ready("b"), ready("me")],
            False,
            3,
            "queue_full",
            "2 ahead of you; 2 of 2 places are in use.",
        ),
        (
            2,
            1,
            [ready("a"), ready("me")],
            False,
            2,
            "queue_full",
            "1 ahead of you; the free places are theirs.",
        ),
        (2, 1, [saving("a"), ready("me")], True, 2, "its_turn", "It is about to begin."),
        (
            2,
            1,
            [new("a"), ready("me")],
            False,
            2,
            "queue_full",
            "1 ahead of you; the free places are theirs.",
        ),
        (2, 0, [saving("me")], False, 1, "saving_environment", "It is being saved."),
        (
            2,
            0,
            [new("me")],
            False,
            1,
            "preparing_environment",
            "Your environment is being looked up.",
        ),
        (  # an operator took places away: those that run go on
            1,
            3,
            [ready("me")],
            False,
            1,
            "queue_full",
            "You are next; the only place is in use.",
        ),
    ],
)
def test_what_is_decided(
    *,
    places: int,
    active: int,
    waiting: list[Waiting],
    admitted: bool,
    position: int,
    reason: str,
    message: str,
) -> None:
    decision = decide(Line("default", places, active, tuple(waiting)), "me")

    assert decision.admit is admitted
    assert (decision.position, decision.reason, decision.message) == (position, reason, message)


lines = st.builds(
    lambda places, active, kinds: Line(
        "default",
        places,
        active,
        tuple(make(f"j{number}") for number, make in enumerate(kinds)),
    ),
    st.integers(1, 5),
    st.integers(0, 8),
    st.lists(st.sampled_from([ready, saving, new]), min_size=1, max_size=12),
)


@given(lines)
def test_never_more_are_admitted_than_there_are_free_places(line: Line) -> None:
    admitted = [job.id for job in line.waiting if decide(line, job.id).admit]

    assert len(admitted) <= max(0, line.places - line.active)


@given(lines)
def test_whoever_is_ready_goes_before_those_behind(line: Line) -> None:
    decisions = [decide(line, job.id).admit for job in line.waiting if job.ready]

    assert decisions == sorted(decisions, reverse=True)


@given(lines)
def test_a_free_place_goes_to_somebody_who_is_ready_and_known(line: Line) -> None:
    first = next((job for job in line.waiting if job.reason is None), None)
    if first is not None and first.ready and line.active < line.places:
        assert decide(line, first.id).admit


def of(user: str, id_: str, *, known: bool = True) -> Waiting:
    return Waiting(id_, ready=known, user=user)


def shared(per_user: int, waiting: list[Waiting], **active: int) -> Line:
    return Line("default", 4, sum(active.values()), tuple(waiting), per_user, active)


ADAS = [of("ada", f"a{number}") for number in range(6)]


def test_one_user_cannot_have_all_the_places() -> None:
    line = shared(2, [*ADAS, of("bob", "b0")])

    assert admitted(line) == ["a0", "a1", "b0"]
    capped = decide(line, "a2")
    assert (capped.reason, capped.position) == ("user_full", 3)
    assert capped.message == "You may run 2 jobs at a time; it begins when one of them is over."


def test_places_that_a_user_has_already_count() -> None:
    assert admitted(shared(2, ADAS, ada=1, bob=1)) == ["a0"]
    assert admitted(shared(1, [*ADAS, of("bob", "b0")], ada=1)) == ["b0"]
    one = decide(shared(1, ADAS, ada=1), "a0")
    assert one.message == "You may run one job at a time; it begins when the one before it is over."


def test_without_a_limit_for_each_user_the_first_come_have_the_places() -> None:
    assert admitted(shared(0, ADAS)) == ["a0", "a1", "a2", "a3"]


def test_a_place_is_kept_for_a_job_that_was_not_looked_up_yet_unless_its_user_has_all() -> None:
    line = shared(1, [of("ada", "a", known=False), of("bob", "b"), of("ada", "a2")])
    assert admitted(line) == ["b"]
    assert decide(line, "a2").reason == "user_full"


@given(lines, st.integers(0, 3), st.lists(st.sampled_from("xyz"), min_size=12, max_size=12))
def test_no_user_ever_has_more_places_than_allowed(
    line: Line, per_user: int, users: list[str]
) -> None:
    waiting = [
        Waiting(job.id, job.ready, job.reason, job.message, user)
        for job, user in zip(line.waiting, users, strict=False)
    ]
    mine = Line("default", line.places, 0, tuple(waiting), per_user)
    names = {job.id: job.user for job in waiting}
    got = [names[id_] for id_ in admitted(mine)]

    assert len(got) <= line.places
    for user in "xyz":
        assert not per_user or got.count(user) <= per_user
