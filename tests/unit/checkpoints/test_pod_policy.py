"""What is done about a server's pod: every case that there is."""

from __future__ import annotations

import itertools

import pytest
from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.pod_policy import Act, Kept, SeenPod, decide

OLD, NOW, NEW = ("st-" + digit * 22 for digit in "123")


def pod(
    start: str = NOW,
    *,
    ended: bool = False,
    ending: bool | None = None,
    leaving: bool = False,
    labelled: bool = False,
    placeable: bool = True,
    unheld: bool = False,
    cut_off: bool = False,
) -> SeenPod:
    ending = ended if ending is None else ending
    return SeenPod(start, ended, ending, leaving, labelled, placeable, unheld, cut_off)


def kept(
    status: ServerStatus,
    running: str | None = NOW,
    settled: str | None = OLD,
    *,
    placed: bool = True,
) -> Kept:
    return Kept(status, running, settled, placed)


S = ServerStatus


@pytest.mark.parametrize(
    ("seen", "known", "act"),
    [
        # a server that runs
        (pod(), kept(S.RUNNING), Act.NOTHING),
        (pod(), kept(S.PREPARED, placed=False), Act.PLACE),
        (pod(placeable=False), kept(S.PREPARED, placed=False), Act.NOTHING),
        # what holds it was killed
        (pod(unheld=True), kept(S.RUNNING), Act.LABEL),
        (pod(unheld=True, labelled=True), kept(S.RUNNING), Act.NOTHING),
        (pod(unheld=True, leaving=True), kept(S.RUNNING), Act.NOTHING),
        (pod(unheld=True, labelled=True), kept(S.UNSAVED), Act.END),
        # it ended by itself
        (pod(ended=True), kept(S.RUNNING), Act.TELL_ENDED),
        (pod(ended=True), kept(S.PREPARED), Act.TELL_ENDED),
        (pod(ended=True), kept(S.PREPARED, placed=False), Act.PLACE),
        # it ended by itself, and atoll-hold is still beside it
        (pod(ended=True, ending=False), kept(S.RUNNING), Act.TELL_ENDED),
        (pod(ended=True, ending=False), kept(S.UNSAVED), Act.END),
        (pod(ended=True, ending=False), kept(S.SAVED, None, NOW), Act.DELETE),
        # it was stopped
        (pod(), kept(S.UNSAVED), Act.END),
        (pod(), kept(S.SAVING), Act.END),
        (pod(ending=True, labelled=True), kept(S.SAVING), Act.NOTHING),
        (pod(ended=True), kept(S.UNSAVED), Act.LABEL),
        (pod(ended=True, labelled=True), kept(S.UNSAVED), Act.NOTHING),
        (pod(ended=True, labelled=True), kept(S.SAVING), Act.NOTHING),
        # somebody deletes it: its hook holds it
        (pod(leaving=True), kept(S.RUNNING), Act.NOTHING),
        (pod(leaving=True), kept(S.SAVING), Act.NOTHING),
        (pod(leaving=True, ended=True, ending=False), kept(S.RUNNING), Act.TELL_ENDED),
        (pod(leaving=True, ended=True, ending=False), kept(S.SAVING), Act.NOTHING),
        # its node does not answer meanwhile, and cannot hold it
        (pod(leaving=True, cut_off=True), kept(S.RUNNING), Act.CUT_OFF),
        (pod(leaving=True, cut_off=True), kept(S.PREPARED), Act.CUT_OFF),
        (pod(leaving=True, cut_off=True, ended=True), kept(S.RUNNING), Act.TELL_ENDED),
        (pod(leaving=True, cut_off=True), kept(S.UNSAVED), Act.NOTHING),
        (pod(leaving=True, cut_off=True), kept(S.SAVING), Act.NOTHING),
        (pod(leaving=True, cut_off=True), kept(S.SAVED, None, NOW), Act.NOTHING),
        # it is saved
        (pod(ended=True), kept(S.SAVED, None, NOW), Act.DELETE),
        (pod(ended=True, leaving=True), kept(S.SAVED, None, NOW), Act.NOTHING),
        (pod(OLD), kept(S.RUNNING, NOW, OLD), Act.DELETE),
        # the next start waits meanwhile, or runs
        (pod(NOW, ended=True), kept(S.PREPARING, None, NOW), Act.DELETE),
        (pod(NOW, ended=True), kept(S.RUNNING, NEW, NOW), Act.DELETE),
        # the next start went on without it
        (pod(NOW, ended=True), Kept(S.RUNNING, NEW, NOW, True, left=True), Act.NOTHING),
        (pod(NOW, leaving=True), Kept(S.SAVED, None, NEW, True, left=True), Act.NOTHING),
        # nobody knows it
        (pod(), None, Act.ORPHAN),
        (pod(""), kept(S.RUNNING), Act.ORPHAN),
        (pod(NEW), kept(S.SAVED, None, NOW), Act.ORPHAN),
        (pod(NEW), kept(S.RUNNING, NOW, OLD), Act.ORPHAN),
        (pod(), kept(S.SAVED, None, None), Act.ORPHAN),
    ],
)
def test_the_next_act(seen: SeenPod, known: Kept | None, act: Act) -> None:
    assert decide(seen, known) is act


def test_no_pod_of_an_unsettled_start_is_ever_deleted() -> None:
    yes = (True, False)
    for status, (running, settled), placed in itertools.product(
        ServerStatus,
        [*itertools.product((None, OLD, NOW, NEW), (None, OLD)), (NOW, NEW)],  # a clock went back
        yes,
    ):
        for flags in itertools.product(yes, repeat=7):
            seen = SeenPod(NOW, *flags)
            act = decide(seen, Kept(status, running, settled, placed))
            assert act is not Act.DELETE
