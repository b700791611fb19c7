"""Who is offered which profile."""

from __future__ import annotations

import pytest
from atoll.hub.images import Kept
from atoll.hub.profiles import Offers, Profile
from atoll.hub.resources import Gpu, ImageChoice, Size
from atoll.kit.errors import ForbiddenError, InvalidError

from hub_config.settings import HubSection

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


KEPT = Kept("atoll")
CHOICES = Profile(
    title="Choices",
    cpu=2,
    memory="4G",
    images={
        "a": ImageChoice(title="A", image="example.org/a:1"),
        "b": ImageChoice(title="B", image="example.org/b:1"),
    },
    sizes={"small": Size(), "large": Size(memory="32G", gpu=Gpu(count=2))},
    own_images=r"example\.org/team/[a-z]+:[0-9.]+",
)


def test_a_size_says_what_differs_from_its_profile() -> None:
    large = CHOICES.sized("large")
    assert (large.cpu, large.memory) == (2, "32G")
    assert large.gpu is not None
    assert large.gpu.count == 2
    assert CHOICES.sized("").memory == "4G"


def test_a_size_or_an_image_that_is_not_offered_is_refused() -> None:
    with pytest.raises(InvalidError, match="Choose one of small, large"):
        CHOICES.sized("huge")
    with pytest.raises(InvalidError, match="Choose one of a, b"):
        CHOICES.image_of("c", "", "", KEPT)
    with pytest.raises(InvalidError, match="offers no choice of its image"):
        Profile(title="x").image_of("a", "", "example.org/default:1", KEPT)


def test_the_image_is_the_choice_or_the_first_or_the_profiles_or_the_platforms() -> None:
    assert CHOICES.image_of("b", "", "", KEPT) == "example.org/b:1"
    assert CHOICES.image_of("", "", "", KEPT) == "example.org/a:1"
    assert Profile(title="x", image="own:1").image_of("", "", "default:1", KEPT) == "own:1"
    assert Profile(title="x").image_of("", "", "default:1", KEPT) == "default:1"


def test_an_image_of_ones_own_must_match_from_its_first_to_its_last_character() -> None:
    own = "example.org/team/mine:1.0"
    assert CHOICES.image_of("", own, "", KEPT) == own
    for other in (f"{own}-evil", f"evil.{own}", "example.org/team/mine", "example.org/other:1"):
        with pytest.raises(ForbiddenError, match="not allowed here"):
            CHOICES.image_of("", other, "", KEPT)
    with pytest.raises(ForbiddenError, match="allows no images of your own"):
        Profile(title="x").image_of("", own, "", KEPT)


@pytest.mark.parametrize(
    "image",
    [
        "registry:5000/atoll/ada@sha256:" + "0" * 64,
        "atoll/ada:latest",
        "localhost/atoll/ada",
        "10.0.0.7:5000/atoll/ada/deeper:1",
        "docker.io/atoll/ada",
    ],
)
def test_where_environments_are_kept_cannot_be_named_as_an_image(image: str) -> None:
    anything = CHOICES.model_copy(update={"own_images": ".*"})
    with pytest.raises(ForbiddenError, match="saved environments are kept"):
        anything.image_of("", image, "", KEPT)


@pytest.mark.parametrize(
    "image", ["", " ", "a b", "UPPER/case", "x" * 501, "../etc", "a\nb", "http://x/y", "a//b"]
)
def test_what_is_no_image_is_refused(image: str) -> None:
    anything = CHOICES.model_copy(update={"own_images": "(?s).*"})
    with pytest.raises(InvalidError):
        anything.image_of("x" if not image else "", image, "", KEPT)


def test_profiles_and_their_choices_stand_in_the_operators_order() -> None:
    section = HubSection.model_validate(
        {
            "profiles": {
                "a": {"title": "A"},
                "b": {
                    "title": "B",
                    "order": -1,
                    "sizes": {"large": {"cpu": 8, "order": 2}, "small": {"cpu": 1}},
                    "images": {
                        "old": {"title": "Old", "image": "x:1", "order": 1},
                        "new": {"title": "New", "image": "x:2"},
                    },
                },
            }
        }
    )
    name, profile = Offers(section.profiles).chosen("", [])
    assert (name, profile.sized("").cpu) == ("b", 1)
    assert profile.image_of("", "", "", Kept("kept")) == "x:2"
