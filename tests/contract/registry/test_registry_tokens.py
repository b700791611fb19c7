"""The platform's tokens for registries: their key, their form, and how long they last."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jwt
import pytest
from atoll.checkpoints.registry_tokens import CERTIFICATE, SECRET, RegistryTokens
from atoll.kit.errors import InvalidError
from atoll.kit.home import Home
from atoll.oci.errors import InvalidImageError

NOW = 1_780_000_000.0


def tokens(home: Path, **changed: float) -> RegistryTokens:
    return RegistryTokens(Home(home), issuer="i", service="s", clock=lambda: NOW, **changed)


def test_the_key_is_made_once_and_is_closed_to_others(tmp_path: Path) -> None:
    first, second = tokens(tmp_path), tokens(tmp_path)
    assert first.certificate == second.certificate
    assert first.key_id == second.key_id
    kept = tmp_path / "secrets" / SECRET
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "PRIVATE" not in first.certificate + first.jwks
    assert (tmp_path / "secrets" / CERTIFICATE).read_text() == first.certificate


def test_a_token_says_which_repository_which_save_and_how_long(tmp_path: Path) -> None:
    issuer = tokens(tmp_path, lifetime_s=90)
    issued = issuer.issue("u/ada", "pull,push", save="ck-7", pull_from=["base/py", "u/ada"])
    key = jwt.PyJWKSet.from_json(issuer.jwks)[issuer.key_id]
    claims = jwt.decode(
        issued.value, key, ["ES256"], audience="s", issuer="i",
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )  # fmt: skip
    assert claims["access"] == [
        {"type": "repository", "name": "u/ada", "actions": ["pull", "push"]},
        {"type": "repository", "name": "base/py", "actions": ["pull"]},
    ]
    assert (claims["sub"], claims["exp"], issued.expires) == ("ck-7", NOW + 90, NOW + 90)
    assert claims["jti"] != jwt.decode(
        issuer.issue("u/ada", "pull", save="ck-7").value, options={"verify_signature": False}
    )["jti"]  # fmt: skip
    assert issued.value not in repr(issued)


def test_the_key_id_has_the_form_that_old_registries_look_for(tmp_path: Path) -> None:
    issuer = tokens(tmp_path)
    groups = issuer.key_id.split(":")
    assert len(groups) == 12
    assert all(len(group) == 4 for group in groups)
    assert json.loads(issuer.jwks)["keys"][0]["kid"] == issuer.key_id


@pytest.mark.parametrize("name", ["", "A", "a:b", "../a", "a/../b", "a b", "*"])
def test_a_name_that_is_no_repository_gets_no_token(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidImageError):
        tokens(tmp_path).issue(name, "pull", save="ck-1")


@pytest.mark.parametrize("lifetime", [0, -1, 3601])
def test_a_lifetime_is_short(tmp_path: Path, lifetime: float) -> None:
    with pytest.raises(InvalidError):
        tokens(tmp_path, lifetime_s=lifetime)
