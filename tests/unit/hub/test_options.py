"""What the spawn page offers, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointId,
    CheckpointStatus,
    Digest,
    Package,
    Server,
    ServerStatus,
    ServerTarget,
    Trigger,
)
from atoll.hub import options
from atoll.hub.profiles import DEFAULT_PROFILES, Profile
from atoll.hub.resources import Gpu, ImageChoice, Size
from atoll.hub.templates import template

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def _digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def _server(**values: Any) -> Server:
    return Server.model_validate(
        {
            "user": "ada",
            "name": "",
            "target": ServerTarget.SAVED,
            "status": ServerStatus.SAVED,
            "version": 3,
            "base_name": "Python 3.11",
            **values,
        }
    )


def _checkpoint(number: int, packages: int = 0, **values: Any) -> Checkpoint:
    changes = Changes(packages=[Package(name=f"p{one}", after="1.0") for one in range(packages)])
    return Checkpoint.model_validate(
        {
            "id": CheckpointId(f"c-{number}"),
            "user": "ada",
            "server": "",
            "trigger": Trigger.STOP,
            "status": CheckpointStatus.READY,
            "digest": _digest(number),
            "size": 312_000_000,
            "changes": changes,
            "created_at": NOW - timedelta(hours=number),
            **values,
        }
    )


def _page(profiles: Mapping[str, Profile], offered: Mapping[str, Any], **values: Any) -> str:
    """The form as JupyterHub shows it."""
    known = {"profile": "", "last": {}, "shortages": {}, "cards": False, "own_form": ""}
    context = {"profiles": profiles, **known, **offered, **values}
    return template("environment_choice.html").render(context)


def test_a_new_user_is_offered_a_fresh_start_alone() -> None:
    offered = options.choices(_server(status=ServerStatus.FRESH), [], NOW)
    assert offered["first"] is None
    assert offered["fresh"].value == "base"
    assert offered["earlier"] == []


def test_continuing_says_when_and_what() -> None:
    offered = options.choices(_server(environment=_digest(15)), [_checkpoint(15, 4)], NOW)
    assert offered["first"].title == "Continue where you stopped"
    assert offered["first"].detail == (
        "yesterday 18:00 UTC · + 4 packages: p0 1.0, p1 1.0, p2 1.0 … · 312 MB"
    )


def test_a_choice_to_go_back_is_what_comes_first() -> None:
    server = _server(environment=_digest(1), continues_from=_digest(2))
    offered = options.choices(server, [_checkpoint(1), _checkpoint(2)], NOW)
    assert offered["first"].title == "Go back, as you chose"
    assert (offered["before"].value, offered["before"].title) == (
        _digest(1), "Continue where you stopped",
    )  # fmt: skip
    assert offered["earlier"] == []


def test_when_an_earlier_environment_was_saved_is_said_once() -> None:
    server = _server(environment=_digest(1))
    (one,) = options.choices(server, [_checkpoint(1), _checkpoint(2, 1)], NOW)["earlier"]
    assert options.when(NOW - timedelta(hours=2), NOW) in one.title
    assert one.detail == "+ 1 package: p0 1.0 · 312 MB"


def test_an_environment_saved_twice_is_offered_once_and_unfinished_ones_never() -> None:
    checkpoints = [
        _checkpoint(1),
        _checkpoint(2, digest=_digest(1)),
        _checkpoint(3, status=CheckpointStatus.COPYING, digest=None),
    ]
    offered = options.choices(_server(), checkpoints, NOW)
    assert [one.value for one in offered["earlier"]] == [_digest(1)]


def test_a_save_that_goes_on_is_said() -> None:
    server = _server(status=ServerStatus.SAVING, message="saving your environment: 1.2 of 1.9 GB")
    assert options.choices(server, [], NOW)["notice"] == "saving your environment: 1.2 of 1.9 GB"


def test_why_it_ended_is_said_before_what_its_save_waits_for_and_what_there_is() -> None:
    server = _server(
        status=ServerStatus.SAVING,
        ended_why="Its node does not answer.",
        message="It is saved when the node is back.",
        saved_at=NOW - timedelta(minutes=20),
    )
    assert options.choices(server, [], NOW)["notice"] == (
        "Its node does not answer. It is saved when the node is back."
        f" What was saved until {options.when(NOW - timedelta(minutes=20), NOW)} is there."
    )


@pytest.mark.parametrize("status", [ServerStatus.UNSAVED, ServerStatus.SAVING])
def test_while_the_last_stop_is_saved_one_continues_with_that(status: ServerStatus) -> None:
    server = _server(status=status, environment=_digest(1))
    offered = options.choices(server, [_checkpoint(1, 4)], NOW)
    assert offered["first"].title == "Continue where you stopped"
    assert offered["first"].detail == "with all that is being saved now"
    assert [one.value for one in offered["earlier"]] == [_digest(1)]  # as it was before


def test_an_environment_that_is_not_listed_is_not_called_unchanged() -> None:
    assert options.choices(_server(environment=_digest(9)), [], NOW)["first"].detail == ""
    assert options.choices(_server(), [], NOW)["first"].detail == "nothing added to Python 3.11"
    never = options.choices(_server(base_name=""), [], NOW)["first"].detail
    assert never == "nothing added to the image"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (NOW - timedelta(minutes=5), "today 08:55 UTC"),
        (NOW - timedelta(days=1), "yesterday 09:00 UTC"),
        (NOW - timedelta(days=40), "15 Oct, 09:00 UTC"),
        (NOW - timedelta(days=400), "20 Oct 2025, 09:00 UTC"),
    ],
)
def test_moments_read_as_people_say_them(moment: datetime, said: str) -> None:
    assert options.when(moment, NOW) == said


def test_the_form_takes_only_what_it_offers() -> None:
    data = {"environment": ["last"], "profile": [""], "other": ["x"]}
    assert options.from_form(data) == {"environment": "last"}


def test_what_users_wrote_is_shown_and_not_executed() -> None:
    noted = _checkpoint(1, note="<script>alert(1)</script>")
    page = _page(
        {**DEFAULT_PROFILES, "big": Profile(title="Big", cpu=8, memory="32G")},
        options.choices(_server(environment=_digest(1)), [noted], NOW),
        profile="big",
    )
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'value="big" selected' in page
    assert page.count("checked") == 1


def test_after_a_start_that_failed_the_environment_before_is_offered_in_sight() -> None:
    checkpoints = [_checkpoint(1), _checkpoint(2), _checkpoint(3)]
    offered = options.choices(_server(environment=_digest(1), failed_start=True), checkpoints, NOW)
    assert offered["before"].value == _digest(2)
    assert [one.value for one in offered["earlier"]] == [_digest(3)]
    assert "did not become ready" in offered["notice"]
    page = _page(DEFAULT_PROFILES, offered)
    assert page.index("Go back to the one before it") < page.index("Start fresh")


def test_a_rebase_that_one_never_went_over_to_is_not_the_one_before() -> None:
    server = _server(environment=_digest(1), failed_start=True)
    rebase = _checkpoint(2, trigger=Trigger.REBASE)
    offered = options.choices(server, [_checkpoint(1), rebase, _checkpoint(3)], NOW)
    assert offered["before"].value == _digest(3)
    assert [one.value for one in offered["earlier"]] == [_digest(2)]

    newest = _checkpoint(1, parent=_digest(2))
    offered = options.choices(server, [newest, rebase, _checkpoint(3)], NOW)
    assert offered["before"].value == _digest(2)


def test_why_a_server_ended_by_itself_is_said() -> None:
    ended = _server(ended_why="The server was ended because it needed more memory than 4 GB.")
    assert "more memory" in options.choices(ended, [], NOW)["notice"]
    lost = ended.model_copy(update={"reason": "container_not_found", "message": "All is lost."})
    notice = options.choices(lost, [], NOW)["notice"]
    assert notice == f"{ended.ended_why} All is lost."


def test_what_was_saved_by_itself_says_so() -> None:
    automatic = _checkpoint(1, trigger=Trigger.AUTOMATIC)
    assert "saved by itself" in options.describe(automatic, NOW)
    assert "by itself" not in options.describe(_checkpoint(1), NOW)


CARDS = {
    "gpu": Profile(
        title="PyTorch",
        gpu=Gpu(count=2),
        images={"torch": ImageChoice(title="PyTorch 3", image="example.org/torch:3")},
        own_images=r"example\.org/.*",
        saved=False,
    ),
    "cpu": Profile(title="Data", sizes={"s": Size(cpu=1), "l": Size(title="Large", cpu=8)}),
}


def test_in_a_cluster_each_profile_shows_its_images_sizes_and_what_it_lacks() -> None:
    offered = options.choices(_server(), [], NOW)
    shortages = {"gpu": "waits: all 4 GPU in use; ada asked before you"}
    page = _page(CARDS, offered, cards=True, profile="cpu", shortages=shortages, last={"size": "l"})
    assert 'name="image.gpu"' in page
    assert 'name="own_image.gpu"' in page
    assert 'name="size.cpu"' in page
    assert "all 4 GPU in use; ada asked before you" in page
    assert "2 GPUs" in page
    assert '<option value="l" selected>Large · 8 CPU</option>' in page
    assert '<option value="s" >s · 1 CPU</option>' in page
    assert "is not saved when it stops" in page
    assert page.count('value="cpu" checked') == 1


def test_the_form_takes_the_choices_of_the_profile_that_was_chosen() -> None:
    data = {"profile": ["cpu"], "size.cpu": ["l"], "size.gpu": ["x"], "image.gpu": ["torch"]}
    assert options.from_form(data) == {"profile": "cpu", "size": "l"}


def test_what_others_share_is_offered_with_its_owner_and_a_warning() -> None:
    own = _checkpoint(2)
    shared = [_checkpoint(3, 1, user="bob", note="with torch"), _checkpoint(2, user="bob")]
    found = options.choices(_server(environment=_digest(1)), [own], NOW, shared)
    assert [(one.value, one.title) for one in found["shared"]] == [
        (_digest(3), "bob, today 06:00 UTC")
    ], "what one has oneself is offered once"
    page = _page({}, found)
    assert "An environment that others share with me (1)" in page
    assert "people whom you trust" in page
    assert f'value="{_digest(3)}"' in page
    nothing = options.choices(_server(), [own], NOW)
    page = _page({}, nothing, cards=True)
    assert "others share" not in page


def test_an_environment_that_is_too_old_cannot_be_chosen_and_says_what_to_do() -> None:
    old = _checkpoint(1, too_old="It was made with version 0.1.")
    older = _checkpoint(2, too_old="It was made with version 0.0.")
    server = _server(environment=old.digest)
    found = options.choices(server, [old, older], NOW, [older.model_copy(update={"user": "bob"})])
    page = _page(DEFAULT_PROFILES, found)
    assert 'value="last" disabled' in page
    assert 'value="base" checked autofocus' in page
    assert f'value="{older.digest}" disabled' in page
    assert page.count("<code>atoll checkpoints rebase") == 2
    assert found["shared"] == []
