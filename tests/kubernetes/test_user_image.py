"""The user image as a pod under PodSecurity `restricted`: what users do to it, and what it must survive."""

from __future__ import annotations

import io
import json
import shlex
import textwrap
import zipfile
from collections.abc import Iterator

import pytest

from tests.kubernetes.user_image import USER, Pod, own_namespace
from tests.platform.driver import eventually


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


@pytest.fixture(scope="module")
def pod(namespace: str) -> Pod:
    return Pod(namespace, "ada")


def wheel(name: str) -> bytes:
    """A package with a module and a command."""
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print('this is {name}')\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    built = io.BytesIO()
    with zipfile.ZipFile(built, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in files))
    return built.getvalue()


def in_a_new_kernel(pod: Pod, code: str, variables: str = "") -> str:
    """What a cell prints, as a job or a notebook runs it: the platform starts the kernel."""
    script = f"""
        import sys
        from jupyter_client.manager import run_kernel
        with run_kernel(kernel_name="python3") as client:
            answer = client.execute_interactive({code!r}, timeout=60)
        sys.exit(answer["content"]["status"] != "ok")
        """
    return pod.sh(
        f"{variables} /opt/atoll/bin/python -Ps -c {shlex.quote(textwrap.dedent(script))}"
    )


def test_it_runs_as_the_user_under_an_init(pod: Pod) -> None:
    assert pod.sh("id -u; id -g").split() == [str(USER), "100"]
    assert pod.sh("tr '\\0' ' ' </proc/1/cmdline").startswith(
        "/usr/bin/tini -g -- /opt/atoll/bin/jupyter"
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("tiny_pip", "pip install -q --no-index"),
        ("tiny_module", "python -m pip install -q --no-index"),
        ("tiny_user", "pip install -q --no-index --user"),
        ("tiny_uv", "uv pip install -q --offline"),
    ],
)
def test_what_is_installed_is_in_the_environment(pod: Pod, name: str, command: str) -> None:
    file = f"/tmp/{name}-1.0-py3-none-any.whl"
    pod.sh(f"cat >{file}", given=wheel(name))
    told = pod.sh(f"{command} {file} 2>&1", check=False)
    if "--user" in command:  # refused, and not put into the home
        assert "User site-packages are not visible" in told
        assert "tiny" not in pod.sh("find /home/jovyan -name 'tiny*'")
        return
    assert pod.sh(name).strip() == f"this is {name}"
    found = pod.python(f"import {name}; print({name}.__file__)").strip()
    assert found.startswith("/opt/environment/lib/")
    assert found in in_a_new_kernel(pod, f"import {name}; print({name}.__file__)")


def test_a_notebook_installs_into_the_environment_too(pod: Pod) -> None:
    file = "/tmp/tiny_magic-1.0-py3-none-any.whl"
    pod.sh(f"cat >{file}", given=wheel("tiny_magic"))
    in_a_new_kernel(pod, f"%pip install --no-index {file}")
    assert "this is tiny_magic" in in_a_new_kernel(pod, "!tiny_magic")


def test_shells_of_all_kinds_find_the_environment_first(pod: Pod) -> None:
    for shell in ("bash -c", "bash -lc", "bash -ic", "sh -c"):
        each = "for one in pip python uv atoll; do command -v $one; done"
        found = pod.sh(f"{shell} '{each}' 2>/dev/null").split()
        assert found == [
            "/opt/environment/bin/pip",
            "/opt/environment/bin/python",
            "/opt/atoll/bin/uv",
            "/opt/atoll/bin/atoll",
        ]


def test_nothing_was_installed_or_cached_in_the_home(pod: Pod) -> None:
    found = pod.files("/home/jovyan")
    assert "./demos" in found
    assert not [
        path for path in found if path.startswith(("./.cache", "./.local/lib", "./.local/bin"))
    ]
    assert not [path for path in found if path.endswith((".sqlite", ".db"))]


def test_the_platforms_own_files_are_not_the_users(pod: Pod) -> None:
    assert pod.sh("touch /opt/atoll/bin/x 2>&1", check=False).strip().endswith("Permission denied")
    assert pod.sh("find /opt/atoll -writable ! -type l | head -3") == ""
    assert pod.sh("find /opt/environment ! -user jovyan | head -3") == ""


def test_data_science_works_and_leaves_no_compiled_files_behind(pod: Pod) -> None:
    pod.sh("touch /tmp/now")
    code = "import duckdb, matplotlib.pyplot, pandas, pyarrow, scipy.stats, sklearn.linear_model, atoll"
    in_a_new_kernel(pod, code)
    assert pod.sh("find /opt/environment -newer /tmp/now -name '*.pyc'") == ""


def test_the_commands_and_the_bill_of_materials_are_there(pod: Pod) -> None:
    assert "Environments, datasets and jobs" in pod.sh("atoll --help")
    found = json.loads(pod.sh("cat /usr/share/atoll/sbom.json"))
    names = {component["name"] for component in found["components"]}
    assert {"jupyterlab", "pandas", "git", "atoll"} <= names


def test_the_lab_has_the_platforms_extension_and_settings(pod: Pod) -> None:
    listed = pod.sh("/opt/atoll/bin/jupyter labextension list 2>&1")
    assert "@atoll/lab" in listed
    assert "atoll.server | extension was successfully loaded" in pod.log()
    assert json.loads(pod.asked("atoll/info"))["notice"] == ""


def test_a_full_home_is_no_obstacle_and_is_said(namespace: str) -> None:
    pod = Pod(namespace, "full", full=True)
    assert "Your home (/home/jovyan) is full" in pod.log()
    assert "is full" in json.loads(pod.asked("atoll/info"))["notice"]
    # an exec has not what the server told its kernels
    told = "IPYTHONDIR=/tmp/atoll-home/ipython"
    assert "42" in in_a_new_kernel(pod, "print(6 * 7)", told)


def test_a_terminal_shows_what_the_server_has_to_say(pod: Pod) -> None:
    assert "look here" in pod.sh("ATOLL_NOTICE='look here' bash -ic true 2>/dev/null")
    assert pod.sh("bash -ic true 2>/dev/null") == ""


def test_a_server_starts_over_an_environment_that_is_broken(namespace: str) -> None:
    pod = Pod(namespace, "broken")
    pod.sh(
        "cd /opt/environment/lib/python3*/site-packages && rm -rf -- ./* && mkdir jupyter_server"
        " && echo 'raise SystemExit(1)' >jupyter_server/__init__.py && rm -rf /opt/environment/bin"
    )
    pod.sh(
        "cd /opt/environment/lib/python3*/site-packages;"
        " JUPYTERHUB_SERVICE_URL=http://0.0.0.0:9999/user/ada/"
        " setsid -f /opt/atoll/bin/jupyterhub-singleuser >/tmp/second.log 2>&1 </dev/null"
    )
    eventually(lambda: pod.answers(9999), bool)
