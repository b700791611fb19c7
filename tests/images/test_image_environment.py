"""The environment of the user image over the platform's Python, made in a folder of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from atoll.apps.image_environment import ENVIRONMENT, finish_platform, make_environment
from traitlets.config import PyFileConfigLoader
from uv import find_uv_bin


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """As the image's build makes it: packages first, then what makes it an environment."""
    root = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    make_environment(root)
    return root


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package with a module and a command, as small as one can be."""
    built = tmp_path / "tiny_thing-1.0-py3-none-any.whl"
    about = "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(built, "w") as archive:
        archive.writestr("tiny_thing.py", "def main():\n    print('tiny')\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{about}/entry_points.txt", "[console_scripts]\ntiny-thing = tiny_thing:main\n"
        )
        archive.writestr(
            f"{about}/RECORD", f"tiny_thing.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n"
        )
    return built


def run(environment: Path, *command: str) -> str:
    variables = {
        "PATH": f"{environment}/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(environment),
        "HOME": "/nonexistent",
        "PYTHONNOUSERSITE": "1",
    }
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "installer",
    [
        ("pip", "install", "--no-index"),
        ("python", "-m", "pip", "install", "--no-index"),
        (find_uv_bin(), "pip", "install", "--offline", "--no-cache"),
    ],
    ids=["pip", "python -m pip", "uv"],
)
def test_whatever_installs_installs_into_the_environment(
    installer: tuple[str, ...], environment: Path, wheel: Path
) -> None:
    run(environment, *installer, str(wheel))
    assert (environment / "bin/tiny-thing").exists()
    assert run(environment, "tiny-thing").strip() == "tiny"
    where = run(environment, "python", "-c", "import tiny_thing; print(tiny_thing.__file__)")
    assert Path(where.strip()).is_relative_to(environment)


def test_a_kernel_of_the_environment_is_the_platforms(environment: Path) -> None:
    said = run(
        environment, "python", "-c", "import ipykernel, sys; print(sys.prefix, ipykernel.__file__)"
    )
    prefix, file = said.split()
    assert prefix == str(environment)
    assert Path(file).is_relative_to(sys.prefix)


def test_the_platform_finds_the_environments_kernel_and_is_told_what_it_must_know(
    tmp_path: Path,
) -> None:
    prefix = tmp_path / "atoll"
    (prefix / "etc/jupyter").mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin/jupyterhub-singleuser").write_text("another")
    finish_platform(prefix, tmp_path / "jupyter", tmp_path / "ipython")

    kernel = json.loads((tmp_path / "jupyter/kernels/python3/kernel.json").read_text())
    assert kernel["argv"][0] == str(ENVIRONMENT / "bin/python")
    assert (tmp_path / "jupyter/kernels/python3/logo-64x64.png").is_file(), "the launcher shows it"
    program = (prefix / "bin/jupyterhub-singleuser").read_text()
    assert program.startswith(f"#!{prefix}/bin/python -Ps\n")
    told = PyFileConfigLoader("jupyter_server_config.py", str(prefix / "etc/jupyter")).load_config()
    assert told.ServerApp.terminado_settings == {"shell_command": ["/bin/bash"]}
    assert (told.LabApp.extension_manager, told.PluginManager.level) == ("readonly", "user")
    assert told.NotebookNotary.store_factory.__name__ == "SignatureFile"
    history = PyFileConfigLoader("ipython_config.py", str(tmp_path / "ipython")).load_config()
    assert history.HistoryManager.hist_file.startswith("/tmp/")


def test_the_platform_does_not_notice_a_broken_environment(environment: Path) -> None:
    broken = next(environment.glob("lib/python*/site-packages"))
    (broken / "jupyter_server").mkdir()
    (broken / "jupyter_server/__init__.py").write_text("raise SystemExit('broken')\n")
    variables = {**os.environ, "VIRTUAL_ENV": str(environment), "PYTHONNOUSERSITE": "1"}
    command = [
        sys.executable,
        "-Ps",
        "-c",
        "import jupyter_server.serverapp, jupyterhub.singleuser",
    ]
    subprocess.run(command, env=variables, cwd=broken, check=True)
    shutil.rmtree(environment)
    subprocess.run(command, env=variables, check=True)
