"""Settings: a wrong one stops the start and says what, where and what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from atoll.apps import starting
from atoll.kit.home import Home
from atoll.kit.settings import Section, SettingsError, load
from pydantic import BaseModel, Field


class HubSection(Section):
    port: Annotated[int, Field(ge=1, le=65535)] = 8000


class Settings(BaseModel):
    hub: HubSection = HubSection()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "atoll.toml"


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert load(Settings, file, {}).hub.port == 8000


def test_an_environment_variable_wins_over_the_file(file: Path) -> None:
    file.write_text("[hub]\nport = 9000\n")
    assert load(Settings, file, {}).hub.port == 9000
    assert load(Settings, file, {"ATOLL_HUB__PORT": "9001"}).hub.port == 9001


def test_a_wrong_value_is_named_with_where_it_was_read_and_what_it_may_be(file: Path) -> None:
    file.write_text("[hub]\nport = 99999\n")
    with pytest.raises(SettingsError) as raised:
        load(Settings, file, {})
    assert "hub.port = 99999" in raised.value.detail
    assert str(file) in raised.value.detail
    assert "65535" in raised.value.detail


def test_a_wrong_environment_variable_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match="environment variable ATOLL_HUB__PORT"):
        load(Settings, file, {"ATOLL_HUB__PORT": "many"})


def test_a_misspelt_name_is_an_error_and_not_ignored(file: Path) -> None:
    file.write_text("[hub]\nprot = 9000\n")
    with pytest.raises(SettingsError, match=r"hub\.prot"):
        load(Settings, file, {})


def test_sections_of_other_processes_are_left_alone(file: Path) -> None:
    file.write_text("[jobs]\nconcurrency = 3\n")
    assert load(Settings, file, {"ATOLL_HOME": "/x"}).hub.port == 8000


def test_a_section_that_no_process_reads_stops_the_start(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings.write_text("[checkpoint]\nkeep_last = 500\n[hubs]\n[jobs]\nplaces = 3\n")
    with pytest.raises(SettingsError) as raised:
        starting.load_settings(home, None)
    assert f"[checkpoint] (read from {home.settings})" in raised.value.detail
    assert "[hubs]" in raised.value.detail
    assert "[jobs]" not in raised.value.detail
    assert "checkpoints, datasets, hub, jobs" in raised.value.detail


def test_a_variable_of_a_section_that_no_process_reads_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_JOB__PLACES", "3")
    with pytest.raises(SettingsError, match="environment variable ATOLL_JOB__PLACES"):
        starting.load_settings(Home(tmp_path), None)


@pytest.mark.parametrize("text", ["[hub", "port = 1\n"])
def test_a_file_that_is_no_settings_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError):
        load(Settings, file, {})
