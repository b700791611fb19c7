"""What is installed in a notebook or a terminal shows as unsaved within seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.checkpoints.settings import CheckpointSettings
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from .platform import Atoll, eventually, wheel

SOON_S = 20.0  # seconds; most of them are for a test machine that does other things too


@pytest.fixture
def settings() -> CheckpointSettings:
    return CheckpointSettings()  # as operators have it


def shows(atoll: Atoll, package: str) -> bool:
    """Whether the server's unsaved changes name the package."""
    found = atoll.server().unsaved
    return found is not None and package in [item.name for item in found.packages]


def test_percent_pip_in_a_notebook_shows_and_the_package_imports_at_once(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    variables = {"HOME": str(tmp_path), **server.preparation.variables}
    specs = KernelSpecManager(
        kernel_dirs=[f"{variables['JUPYTER_PATH'].split(':', maxsplit=1)[0]}/kernels"]
    )
    manager = KernelManager(kernel_name="python3", kernel_spec_manager=specs)
    manager.start_kernel(env=variables, cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        said: list[str] = []
        code = f"%pip install --no-index {wheel(tmp_path)}\nimport seashell; seashell.main()"
        client.execute_interactive(
            code,
            timeout=60,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
        eventually(lambda: shows(atoll, "seashell"), bool, SOON_S)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    assert f"1.0 {server.env}" in "".join(said)


def test_pip_in_a_terminal_shows_and_goes_again_when_it_is_taken_back(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("bash", "-c", f"pip install --no-index {wheel(tmp_path)}")
    eventually(lambda: shows(atoll, "seashell"), bool, SOON_S)

    server.run("bash", "-c", "pip uninstall --yes seashell")

    eventually(lambda: atoll.server().unsaved, lambda found: found is None, SOON_S)
