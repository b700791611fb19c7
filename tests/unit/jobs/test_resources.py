"""What jobs may ask for."""

from __future__ import annotations

import pytest
from atoll.jobs import resources, submission
from atoll.jobs.models import Resources
from atoll.jobs.resources import Size
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import InvalidError
from pydantic import ValidationError

SETTINGS = JobSettings(cpu=1, cpu_most=4, memory="2G", memory_most="8G", gpu_most=2)
NOTEBOOK: dict[str, object] = {"nbformat": 4, "metadata": {}, "cells": []}


def test_what_is_not_asked_for_is_as_the_operator_says() -> None:
    assert resources.size_of(Resources(), SETTINGS) == Size(1, "2G", 0)
    assert resources.size_of(Resources(cpu=2, memory="512M", gpu=1), SETTINGS) == Size(2, "512M", 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Resources(cpu=5), "A job may have 4 CPUs at most; 5 were asked for."),
        (Resources(memory="9G"), "A job may have 8G of memory at most; 9G were asked for."),
        (Resources(memory="9000M"), "A job may have 8G of memory at most; 9000M were asked for."),
        (Resources(gpu=3), "A job may have 2 GPUs at most; 3 were asked for."),
    ],
)
def test_more_than_the_operator_allows_is_refused_with_both_numbers(
    asked: Resources, message: str
) -> None:
    with pytest.raises(InvalidError) as error:
        resources.check(asked, SETTINGS)
    assert error.value.detail == message


def test_where_there_are_no_gpus_that_is_said() -> None:
    with pytest.raises(InvalidError, match="no GPUs here"):
        resources.check(Resources(gpu=1), JobSettings())
    resources.check(Resources(gpu=0), JobSettings())


@pytest.mark.parametrize(
    "wrong", [{"cpu": 0}, {"cpu": -1}, {"cpu": float("nan")}, {"memory": "4"}, {"memory": "4Gi"},
              {"memory": "0G"}, {"memory": "-1G"}, {"gpu": -1}, {"gpu": 10**6}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate(wrong)


def test_the_run_form_is_told_what_may_be_asked_for_where_that_counts() -> None:
    assert resources.limits(SETTINGS.model_copy(update={"runner": "local"})) is None
    found = resources.limits(SETTINGS.model_copy(update={"runner": "kubernetes"}))
    assert found is not None
    assert (found.cpu, found.memory) == (SETTINGS.cpu, SETTINGS.memory)
    asked = Resources(cpu=found.cpu_most, memory=found.memory_most, gpu=found.gpu_most)
    resources.check(asked, SETTINGS)


def test_people_ask_for_resources_where_they_submit() -> None:
    asked = submission.request(NOTEBOOK, {}, cpu=2, memory="4G", gpu=1)  # type: ignore[arg-type]
    assert asked.resources == Resources(cpu=2, memory="4G", gpu=1)
    assert "resources" not in submission.request(NOTEBOOK, {}).model_dump(exclude_unset=True)  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="'4 gigs' is no amount of memory"):
        submission.request(NOTEBOOK, {}, memory="4 gigs")  # type: ignore[arg-type]


def test_what_is_asked_for_has_an_effect_in_a_cluster_alone() -> None:
    asked = Resources(memory="1G")
    assert resources.unused(asked, SETTINGS)
    assert not resources.unused(Resources(gpu=0), SETTINGS)
    assert not resources.unused(asked, SETTINGS.model_copy(update={"runner": "kubernetes"}))
