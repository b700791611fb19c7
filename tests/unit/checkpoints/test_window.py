"""How far behind the platform an environment may be."""

from __future__ import annotations

import pytest
from atoll.checkpoints.base import made_for
from atoll.checkpoints.window import TooOldError, Window
from atoll.oci.image import ImageConfig


@pytest.mark.parametrize(
    ("version", "platform", "starts"),
    [
        ("0.1.0", "0.1.0", True),
        ("0.1.0", "0.3.9", True),
        ("0.1.0", "0.4.0", False),
        ("0.4.0", "0.1.0", True),  # a platform that was set back
        ("0.9.0", "1.0.0", False),
        ("1.0", "1.2.0rc1", True),
        (None, "9.0", True),
        ("", "9.0", True),
        ("latest", "9.0", True),
        ("24.04", "", True),
    ],
)
def test_two_minor_versions_back(version: str | None, platform: str, starts: bool) -> None:
    window = Window(platform, 2)
    assert (window.too_old(version) is None) is starts


def test_what_is_older_and_starts_is_said_and_what_is_of_today_is_not() -> None:
    window = Window("0.3.0", 2)
    assert window.aged("0.3.0") is None
    assert window.aged("0.4.0") is None
    assert "Rebase it" in str(window.aged("0.2.0"))
    assert window.aged("0.0.1") is None  # it does not start


def test_a_refusal_names_both_versions_and_the_way_out() -> None:
    with pytest.raises(TooOldError) as caught:
        Window("0.9.0", 2).check("0.1.0", "k-1")
    assert "version 0.1.0" in caught.value.detail
    assert "of 0.7 and later" in caught.value.detail
    assert caught.value.hint is not None
    assert "atoll checkpoints rebase k-1" in caught.value.hint


def test_another_persons_environment_is_not_one_to_rebase() -> None:
    with pytest.raises(TooOldError) as caught:
        Window("0.9.0", 2).check("0.1.0", None)
    assert "Its owner" in str(caught.value.hint)


def test_labels_of_anybody_are_taken_where_they_are_words() -> None:
    hostile = {
        "dev.atoll.version": "0.1\n; rm -rf /",
        "dev.atoll.python": "3.11",
        "org.opencontainers.image.version": "24.04",
    }
    config = ImageConfig({"architecture": {"not": "text"}, "config": {"Labels": hostile}})
    assert made_for(config) == {
        "platform_version": None,
        "python_version": "3.11",
        "architecture": None,
    }
