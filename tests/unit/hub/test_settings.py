"""The hub's settings: what they may be, and that the documentation lists every one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from atoll.apps.programs import UpSettings
from atoll.apps.settings import ServiceSettings
from atoll.kit.settings import SettingsError, load
from pydantic import BaseModel

from hub_config.settings import HubSection, HubSettings, own_name

DOCS = Path(__file__).parents[3] / "docs" / "operators" / "settings.md"


def test_administrators_may_be_listed_in_an_environment_variable(tmp_path: Path) -> None:
    environ = {"ATOLL_HUB__ADMINS": "ada, bo"}
    settings = load(HubSettings, tmp_path / "none.toml", environ)
    assert settings.hub.administrators == ["ada", "bo"]


def test_who_starts_the_platform_administers_it() -> None:
    assert len(HubSection().administrators) == 1


@pytest.mark.parametrize(
    ("account", "name"), [("Ada", "ada"), ("CORP\\ada", "admin"), (".x", "admin")]
)
def test_an_account_that_cannot_be_a_user_becomes_admin(account: str, name: str) -> None:
    assert own_name(account) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[hub]\nport = 99999\n", "hub.port = 99999"),
        ('[hub]\nadmins = ["../x"]\n', "hub.admins"),
        ("[hub]\nstop_grace_s = 0\n", "hub.stop_grace_s = 0"),
        ("[hub]\nprofile = 1\n", "hub.profile = 1"),
        ('[hub.profiles.Big]\ntitle = "x"\n', "hub.profiles"),
        ('[hub.profiles.big]\ntitle = ""\n', "hub.profiles.big.title"),
    ],
)
def test_a_wrong_value_is_named_with_where_it_was_read(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "atoll.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(HubSettings, file, {})
    assert expected in str(error.value)
    assert str(file) in str(error.value)


def _settings() -> dict[str, object]:
    """Every setting with its default: `section.name`."""
    found: dict[str, object] = {}
    for model in (UpSettings, ServiceSettings):
        for section, about in model.model_fields.items():
            default = about.default
            assert isinstance(default, BaseModel)
            for name in type(default).model_fields:
                found[f"{section}.{name}"] = getattr(default, name)
    return found


def test_the_documentation_lists_every_setting_and_no_other() -> None:
    listed = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE))
    assert listed == set(_settings())


def test_the_documentation_has_the_defaults() -> None:
    for line in DOCS.read_text("utf-8").splitlines():
        match = re.match(r"\| `([a-z]+\.[a-z_]+)` \| (.*?) \|", line)
        if match is None:
            continue
        default = _settings()[match[1]]
        if isinstance(default, bool | int | float | str) and default != "":
            assert match[2] == f"`{default}`", match[1]
