"""Checkpoints as lines of a table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from atoll.checkpoints.handle import HEADINGS, row
from atoll.checkpoints.models import Checkpoint, CheckpointId, CheckpointStatus, Trigger


@pytest.mark.parametrize(
    ("status", "note", "message", "said"),
    [
        (CheckpointStatus.REQUESTED, "", "2 saves are before it.", "2 saves are before it."),
        (CheckpointStatus.FAILED, "mine", "Not saved: no room.", "mine: Not saved: no room."),
        (CheckpointStatus.READY, "mine", "Still being written: x.", "mine"),
        (CheckpointStatus.REQUESTED, "mine", None, "mine"),
    ],
)
def test_what_is_not_saved_says_why_and_where_it_waits(
    status: CheckpointStatus, note: str, message: str | None, said: str
) -> None:
    found = Checkpoint(
        id=CheckpointId("k-1"),
        user="ada",
        server="",
        trigger=Trigger.STOP,
        status=status,
        note=note,
        message=message,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert row(found)[HEADINGS.index("Note")] == said
