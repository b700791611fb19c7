"""The wheel works in a clean virtual environment after one installation."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
UV = find_uv_bin()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [UV, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment into which nothing was installed but the wheel with `embedded`."""
    place = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--python", str(place / "bin/python"),
         "--constraint", str(ROOT / "constraints.txt"), f"atoll[embedded] @ {wheel.as_uri()}"],
        check=True,
    )  # fmt: skip
    return place


def run(*command: str | Path, cwd: Path) -> str:
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=outside,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_wheel_holds_the_built_lab_extension_and_the_demos(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    data = {name.split(".data/data/", 1)[1] for name in names if ".data/data/" in name}
    assert "share/jupyter/labextensions/@atoll/lab/package.json" in data
    assert "etc/jupyter/jupyter_server_config.d/atoll.json" in data
    assert any(name.startswith("share/atoll/demos/01-first-notebook/") for name in data)
    assert not any("node_modules" in name or "__pycache__" in name for name in names)


def test_the_wheel_holds_the_native_library_and_names_its_machine(
    wheel: Path, clean: Path, tmp_path: Path
) -> None:
    assert f"-py3-none-linux_{platform.machine()}" in wheel.name
    code = "from atoll.oci import native; print(native.library() is not None)"
    assert run(clean / "bin/python", "-c", code, cwd=tmp_path).strip() == "True"
    with zipfile.ZipFile(wheel) as archive:
        assert not any(name.endswith((".rs", "wheel_tag.py")) for name in archive.namelist())


@pytest.mark.timeout(600)
def test_a_clean_environment_has_the_lab_extension_enabled(clean: Path, tmp_path: Path) -> None:
    listed = run(clean / "bin/jupyter", "labextension", "list", cwd=tmp_path)
    assert "@atoll/lab" in listed
    line = next(line for line in listed.splitlines() if "@atoll/lab" in line)
    assert "enabled" in line
    assert "OK" in line
    servers = run(clean / "bin/jupyter", "server", "extension", "list", cwd=tmp_path)
    assert "atoll.server" in servers
    assert "enabled" in servers


@pytest.mark.timeout(600)
def test_a_clean_environment_has_the_command_and_the_sdk(clean: Path, tmp_path: Path) -> None:
    assert "jobs" in run(clean / "bin/atoll", "--help", cwd=tmp_path)
    version = run(
        clean / "bin/python", "-c", "import atoll; print(atoll.__version__)", cwd=tmp_path
    )
    metadata = run(
        clean / "bin/python", "-c",
        "import importlib.metadata as m, json; print(json.dumps(m.metadata('atoll').json))",
        cwd=tmp_path,
    )  # fmt: skip
    assert version.strip() == json.loads(metadata)["version"]


@pytest.mark.timeout(600)
def test_the_service_starts_from_the_wheel_alone(clean: Path, tmp_path: Path) -> None:
    described = run(clean / "bin/python", "-m", "atoll.apps.openapi", cwd=tmp_path)
    assert "/api/v1/checkpoints" in json.loads(described)["paths"]


@pytest.mark.timeout(600)
def test_the_installed_packages_agree_with_each_other(clean: Path, tmp_path: Path) -> None:
    assert "No broken requirements" in run(clean / "bin/python", "-m", "pip", "check", cwd=tmp_path)
