"""What jobs get: an environment made sure of, held, and unpacked where they run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.environments import Pending
from atoll.checkpoints.models import Trigger
from atoll.checkpoints.service import Checkpoints
from atoll.kit.errors import ConflictError

from .platform import Atoll, eventually, wheel


def ensured(checkpoints: Checkpoints, holder: str, choice: str = "server") -> str:
    found = eventually(
        lambda: checkpoints.environments.ensure("ada", "", choice, holder),
        lambda answer: not isinstance(answer, Pending),
    )
    assert isinstance(found, str)
    return found


def test_a_running_server_is_saved_on_the_spot_for_a_job(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))

    first = checkpoints.environments.ensure("ada", "", "server", "job:1")
    digest = ensured(checkpoints, "job:1")

    assert isinstance(first, Pending)
    assert first.reason == "saving_environment"
    [checkpoint] = atoll.checkpoints()
    assert checkpoint.digest == digest
    assert checkpoint.trigger == Trigger.JOB
    assert ensured(checkpoints, "job:2") == digest
    assert len(atoll.checkpoints()) == 1


def test_the_answer_stays_whatever_the_server_does_meanwhile(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    digest = ensured(checkpoints, "job:1")
    server.run("pip", "install", str(wheel(tmp_path)))
    atoll.save()

    assert ensured(checkpoints, "job:1") == digest


def test_a_job_of_a_user_without_a_server_gets_the_base(checkpoints: Checkpoints) -> None:
    assert ensured(checkpoints, "job:1") == checkpoints.ground.base
    assert ensured(checkpoints, "job:2", "last") == checkpoints.ground.base
    assert ensured(checkpoints, "job:3", "base") == checkpoints.ground.base


def test_a_job_after_a_stop_gets_what_the_stop_saved(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    server.end()
    atoll.send(client.ended("ada", ""), "hub")

    digest = ensured(checkpoints, "job:1")

    assert digest == atoll.saved().environment
    assert ensured(checkpoints, "job:2", "last") == digest


def test_a_job_may_not_run_in_anothers_environment(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start(user="bob")
    server.run("pip", "install", str(wheel(tmp_path)))
    bobs = atoll.save(user="bob")

    with pytest.raises(ConflictError):
        checkpoints.environments.ensure("ada", "", str(bobs.digest), "job:1")


def test_a_held_environment_outlives_retention(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    (server.env / "n").write_text("held")
    digest = ensured(checkpoints, "job:1")
    for number in range(7):
        (server.env / "n").write_text(str(number))
        atoll.save()

    variables = checkpoints.environments.materialise(digest, tmp_path / "job")

    assert Path(variables["VIRTUAL_ENV"], "n").read_text() == "held"


@pytest.mark.parametrize("place", ["job", "a place with spaces and é " + "x" * 100])
def test_an_environment_works_wherever_it_is_unpacked(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path, place: str
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    server.run("uv", "pip", "install", "--offline", str(wheel(tmp_path, "starfish")))
    digest = ensured(checkpoints, "job:1")
    elsewhere = tmp_path / place / ("y" * 40)

    variables = checkpoints.environments.materialise(digest, elsewhere)

    def run(*argv: str) -> str:
        program = next(
            found
            for folder in variables["PATH"].split(os.pathsep)
            if (found := Path(folder, argv[0])).exists()
        )
        done = subprocess.run(
            [program, *argv[1:]],
            env={"HOME": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    env = str(elsewhere / "env")
    assert len(env) > 127 or place == "job"
    assert run("seashell") == f"1.0 {env}"
    assert run("starfish") == f"1.0 {env}"
    assert run("python", "-c", "import sys; print(sys.prefix)") == env
    run("pip", "install", "--no-index", str(wheel(tmp_path, "urchin")))
    assert run("urchin") == f"1.0 {env}"
    run("pip", "uninstall", "--yes", "seashell")
    run("uv", "pip", "install", "--offline", str(wheel(tmp_path, "coral")))
    assert run("coral") == f"1.0 {env}"
    run("pip", "check")
    records = [path.read_text() for path in Path(env).rglob("*.dist-info/RECORD")]
    assert records
    assert not any(str(server.env) in path.read_text() for path in Path(env, "bin").glob("s*"))
    kernels = json.loads(run("jupyter", "kernelspec", "list", "--json"))["kernelspecs"]
    assert kernels["python3"]["resource_dir"] == str(elsewhere / "jupyter/kernels/python3")


def test_unpacking_again_does_nothing_and_a_cut_off_one_is_done_again(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    digest = ensured(checkpoints, "job:1")
    place = tmp_path / "job"
    checkpoints.environments.materialise(digest, place)
    (place / "env" / "scratch").write_text("the job's own")
    checkpoints.environments.materialise(digest, place)
    assert (place / "env" / "scratch").exists()
    (place / "restoring").write_text(digest)

    checkpoints.environments.materialise(digest, place)

    assert not (place / "env" / "scratch").exists()
