"""The line of saves: limits hold, layers at risk come first, and nobody waits in vain."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from atoll.checkpoints.node_queue import Save, Standing, lengths, turns
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exploring import examples

EXAMPLES = examples(40)
NODES = ("a", "b", "c")


def save(id_: str, node: str = "a", **facts: object) -> Save:
    values = {"server": id_, "at_rest": False, "wanted": False, "asked": 0.0, **facts}
    return Save(id=id_, node=node, **values)  # type: ignore[arg-type]  # made up


def standing(
    *saves: Save, per_node: int = 1, at_once: int = 10, present: tuple[str, ...] = NODES
) -> Standing:
    return Standing(saves, frozenset(present), now=100.0, per_node=per_node, at_once=at_once)


def admitted(stands: Standing) -> list[str]:
    return [id_ for id_, turn in turns(stands).items() if turn.admitted]


def test_layers_at_risk_come_before_those_somebody_waits_for_and_those_before_the_oldest() -> None:
    old = save("old", asked=1.0)
    wanted = save("wanted", asked=2.0, wanted=True)
    at_rest = save("at-rest", asked=3.0, at_rest=True)

    assert list(turns(standing(old, wanted, at_rest))) == ["at-rest", "wanted", "old"]


def test_a_node_works_on_one_at_a_time_and_the_position_is_told() -> None:
    found = turns(standing(save("1", asked=1.0), save("2", asked=2.0), save("3", asked=3.0)))

    assert found["1"].admitted
    assert found["3"].reason == "node_busy"
    assert found["3"].position == 3
    assert "number 3" in found["3"].message


def test_the_cluster_has_a_limit_and_it_goes_to_the_layers_at_risk() -> None:
    stands = standing(
        save("live", "a", asked=1.0), save("risk", "b", asked=9.0, at_rest=True), at_once=1
    )

    assert admitted(stands) == ["risk"]
    assert turns(stands)["live"].reason == "cluster_busy"


def test_a_node_whose_agent_is_away_holds_up_no_other() -> None:
    stands = standing(save("gone", "a", at_rest=True), save("here", "b"), at_once=1, present=("b",))

    assert admitted(stands) == ["here"]
    assert turns(stands)["gone"].reason == "agent_away"


def test_what_is_tried_again_later_lets_others_pass() -> None:
    stands = standing(save("later", at_rest=True, not_before=101.0), save("now", asked=5.0))

    assert admitted(stands) == ["now"]
    assert turns(stands)["later"].reason == "retried_later"


def test_two_saves_of_one_server_do_not_go_on_at_once() -> None:
    one = save("one", server="s", working=True)
    stands = standing(one, save("two", server="s"), per_node=5)

    assert admitted(stands) == []
    assert turns(stands)["two"].reason == "server_busy"


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    number = draw(st.integers(0, 12))
    saves = tuple(
        Save(
            id=f"k{index}",
            server=draw(st.sampled_from([f"s{index}", "s0", "s1"])),
            node=draw(st.sampled_from(NODES)),
            at_rest=draw(st.booleans()),
            wanted=draw(st.booleans()),
            asked=draw(st.integers(0, 5)),
            not_before=draw(st.sampled_from([0.0, 200.0])),
            working=draw(st.integers(0, 3)) == 0,
        )
        for index in range(number)
    )
    present = frozenset(draw(st.sets(st.sampled_from(NODES))))
    return Standing(saves, present, 100.0, draw(st.integers(1, 3)), draw(st.integers(1, 5)))


@settings(max_examples=EXAMPLES)
@given(standings())
def test_the_limits_hold(stands: Standing) -> None:
    known = {one.id: one for one in stands.saves}
    begun = [known[id_] for id_ in admitted(stands)]
    running = [one for one in stands.saves if one.working]
    if begun:
        assert len(begun) + len(running) <= stands.at_once
    for node, count in Counter(one.node for one in begun).items():
        assert count + sum(one.node == node for one in running) <= stands.per_node
    servers = [one.server for one in (*begun, *running) if one in begun or one.working]
    for one in begun:
        assert servers.count(one.server) == 1
        assert one.not_before <= stands.now
        assert one.node in stands.present


@settings(max_examples=EXAMPLES)
@given(standings())
def test_no_place_stays_empty_and_nobody_is_passed_by_on_a_node(stands: Standing) -> None:
    found = turns(stands)
    known = {one.id: one for one in stands.saves}
    used = sum(one.working for one in stands.saves) + len(admitted(stands))
    for id_, turn in found.items():
        if turn.reason == "cluster_busy":
            assert used >= stands.at_once
        if turn.reason in ("node_busy", "cluster_busy"):
            passed = [
                other
                for other in admitted(stands)
                if known[other].node == known[id_].node and known[other].rank > known[id_].rank
            ]
            assert not passed


@settings(max_examples=EXAMPLES)
@given(standings(), st.randoms(use_true_random=False))
def test_the_order_of_the_snapshot_does_not_matter(stands: Standing, dice: object) -> None:
    shuffled = list(stands.saves)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random

    assert turns(replace(stands, saves=tuple(shuffled))) == turns(stands)


@settings(max_examples=EXAMPLES)
@given(standings())
def test_every_waiting_save_has_a_turn_with_a_reason(stands: Standing) -> None:
    found = turns(stands)

    assert set(found) == {one.id for one in stands.saves if not one.working}
    assert all(turn.message and turn.position >= 1 for turn in found.values())
    assert sum(lengths(stands).values()) == len(found)


@settings(max_examples=EXAMPLES)
@given(standings())
def test_when_all_that_begins_ends_everybody_gets_a_turn(stands: Standing) -> None:
    saves = tuple(replace(one, working=False, not_before=0.0) for one in stands.saves)
    stands = replace(stands, saves=saves, present=frozenset(NODES))
    for _ in range(len(saves)):
        begun = admitted(stands)
        left = tuple(one for one in stands.saves if one.id not in begun)
        assert begun or not left
        stands = replace(stands, saves=left)
    assert not stands.saves
