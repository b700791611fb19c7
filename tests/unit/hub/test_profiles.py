"""Who is offered which profile."""

from __future__ import annotations

import pytest
from atoll.hub.profiles import Offers, Profile
from atoll.kit.errors import ForbiddenError, InvalidError

OFFERS = Offers(
    {
        "gpu": Profile(title="GPU", groups=["ml"], variables={"A": "1", "ATOLL_URL": "x"}),
        "small": Profile(title="Small"),
    }
)


def test_the_default_is_the_first_that_is_offered_to_the_user() -> None:
    assert OFFERS.chosen("", ["ml"])[0] == "gpu"
    assert OFFERS.chosen("", [])[0] == "small"


def test_a_profile_for_others_is_refused_and_says_for_whom() -> None:
    with pytest.raises(ForbiddenError, match="members of ml only"):
        OFFERS.chosen("gpu", ["biology"])


def test_an_unknown_profile_is_refused_and_says_what_there_is() -> None:
    with pytest.raises(InvalidError, match="Choose one of small"):
        OFFERS.chosen("huge", [])


def test_somebody_to_whom_nothing_is_offered_is_told_so() -> None:
    with pytest.raises(ForbiddenError, match="No profile is offered"):
        Offers({"gpu": OFFERS.profiles["gpu"]}).chosen("", [])


def test_a_profile_cannot_replace_what_the_platform_sets() -> None:
    assert OFFERS.profiles["gpu"].of_server() == {"A": "1"}
