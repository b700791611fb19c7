"""Each demo runs on the real platform: as a job submitted with `atoll` by somebody who logged in with it,
and in a server, where every cell runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atoll.kit.home import Home

from hub_config.auth_secrets import user_password
from tests.platform.driver import Platform, User, running

pytestmark = [pytest.mark.platform, pytest.mark.timeout(400)]

DEMOS = sorted((Path(__file__).parents[2] / "demos").glob("*/*.ipynb"))


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with (
        tempfile.TemporaryDirectory(prefix="atoll-demos-") as folder,
        running(Home(Path(folder) / "home")) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def shell(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in which `atoll login` was run, as a colleague of the platform's would."""
    platform.user("ada")  # the hub knows who has logged in once
    shell = Shell(tmp_path_factory.mktemp("ada"))
    shell.atoll("login", platform.url, "--user", "ada", typed=user_password(platform.home) + "\n")
    return shell


class Shell:
    """Runs `atoll` with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def atoll(
        self, *arguments: str, typed: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `atoll`, which must succeed unless told otherwise."""
        done = subprocess.run(
            [sys.executable, "-m", "atoll.apps.cli", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            input=typed,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def bo(platform: Platform) -> User:
    """Somebody with a running server, in whose home the demos are."""
    bo = platform.user("bo")
    bo.start()
    return bo


def run_in_server(user: User, demo: str) -> dict[str, Any]:
    """The demo of the user's home, run cell by cell in a kernel of their server's environment."""
    lab = user.lab()
    notebook = Path(lab.process.environ()["HOME"]) / "demos" / demo
    done = notebook.with_suffix(".done.ipynb")
    lab.run(
        "python", "-m", "papermill", str(notebook), str(done), "--cwd", str(notebook.parent)
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.read_text())
    assert not printed(document, "stderr")
    return document


def printed(document: dict[str, Any], *streams: str) -> str:
    """What the cells printed to these streams; with none named, all that they gave as text."""
    outputs = [out for cell in document["cells"] for out in cell.get("outputs", [])]
    return "\n".join(
        "".join(out.get("text") or out.get("data", {}).get("text/plain", ""))
        for out in outputs
        if not streams or out.get("name") in streams
    )


@pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.parent.name)
def test_a_demo_runs_as_a_job(shell: Shell, demo: Path) -> None:
    job = shell.atoll("jobs", "submit", str(demo), "--environment", "base").stdout.strip()
    ended = shell.atoll("jobs", "wait", job, "--timeout", "5m", check=False)
    output = shell.atoll("jobs", "output", job)
    assert ended.returncode == 0, f"{ended.stderr}{shell.atoll('jobs', 'logs', job).stdout}"
    assert not printed(json.loads(output.stdout), "stderr")


def test_in_a_server_the_report_is_run_for_three_airlines(bo: User) -> None:
    said = printed(run_in_server(bo, "03-run-as-a-job/report.ipynb"))
    for carrier in ("UA", "B6", "DL"):
        assert re.search(rf"report {carrier} [\d,]+ flights of {carrier} in 2013", said), said


def test_in_a_server_what_a_demo_installs_last_is_kept(bo: User) -> None:
    said = printed(run_in_server(bo, "04-keep-my-environment/keep.ipynb"))
    assert "with tides" in said
    assert "-2.10 m at 6.2 h" in said
    bo.stop()
    bo.start()
    assert bo.lab().run("tides", "6.2").stdout == "-2.10 metres at 6.2 h\n"


def test_the_report_takes_its_parameters(shell: Shell) -> None:
    report = next(demo for demo in DEMOS if demo.stem == "report")
    given = ("-p", "carrier=DL", "-p", "month=7", "--environment", "base", "--wait")
    shell.atoll("jobs", "submit", str(report), *given)
    job = json.loads(shell.atoll("jobs", "list", "--limit", "1", "-o", "json").stdout)[0]
    assert "flights of DL in month 7" in shell.atoll("jobs", "output", job["id"], "--text").stdout
    assert len(job["datasets"]) == 1, "what a job reads is recorded"


def test_a_server_is_started_listed_and_stopped_with_the_command(
    shell: Shell, platform: Platform
) -> None:
    address = shell.atoll("servers", "start").stdout.strip()
    assert address == f"{platform.url}user/ada/"
    assert "running" in shell.atoll("servers", "list").stdout
    assert "Saved" in shell.atoll("servers", "stop").stderr
    assert json.loads(shell.atoll("servers", "list", "-o", "json").stdout)[0]["status"] == "saved"
    shell.atoll("logout")
    assert shell.atoll("whoami", check=False).returncode == 3
