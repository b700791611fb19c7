"""What the images are made from, without building them: that is done on the cluster."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from atoll.apps import image_environment, proxy_install
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
ALL = ("agent", "hold", "hub", "service", "singleuser", "singleuser-gpu", "spark")
REQUIREMENTS = {
    "hub": ("hub", "hub-kubernetes"),
    "service": ("service", "service-kubernetes"),
    "agent": ("agent",),
    "singleuser's platform": ("lab",),
    "singleuser's environment": ("--no-core", "science"),
}
Instruction = tuple[str, str]


def instructions(name: str) -> list[Instruction]:
    """The image's Dockerfile: (instruction, arguments), continued lines joined, no comments."""
    text = (IMAGES / name / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def last_stages(name: str) -> list[Instruction]:
    """What is in the image: from the last stage that does not build on a stage of this file."""
    found = instructions(name)
    stages = {text.split(" AS ")[1] for word, text in found if word == "FROM" and " AS " in text}
    final = [
        at
        for at, (word, text) in enumerate(found)
        if word == "FROM" and text.split(" ")[0] not in stages - {"python"}
    ][-1]
    return found[final:]


def environment(name: str) -> dict[str, str]:
    pairs = [
        pair for word, text in last_stages(name) if word == "ENV" for pair in shlex.split(text)
    ]
    return dict(pair.split("=", 1) for pair in pairs)


def test_these_are_all_images() -> None:
    assert sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile")) == list(ALL)


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_labelled(name: str) -> None:
    labels = " ".join(text for word, text in last_stages(name) if word == "LABEL")
    for label in ("title", "version", "revision", "source", "licenses", "base.name"):
        assert f"org.opencontainers.image.{label}=" in labels


@pytest.mark.parametrize("name", [name for name in ALL if name != "agent"])
def test_an_image_is_not_roots(name: str) -> None:
    users = [text for word, text in last_stages(name) if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), "Kubernetes checks numbers alone"


def test_the_agent_is_roots_and_says_why() -> None:
    assert not [text for word, text in instructions("agent") if word == "USER"]
    assert "It runs as root" in (IMAGES / "agent/Dockerfile").read_text()


@pytest.mark.parametrize("name", ALL)
def test_the_base_can_be_chosen(name: str) -> None:
    argument, base = instructions(name)[0]
    assert argument == "ARG"
    assert base.startswith("BUILD_BASE=" if name == "hold" else "BASE=")


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_fetched_but_packages(name: str) -> None:
    for word, text in instructions(name):
        assert word != "ADD"
        assert not re.search(r"\b(curl|wget|git clone)\b.*:/", text)


def test_the_user_images_variables_are_those_of_the_environments_code() -> None:
    told = environment("singleuser")
    path = "/usr/local/bin:/usr/bin"
    said = {name: value.replace("${PATH}", path) for name, value in told.items()}
    wanted = {
        name: value.replace(sys.prefix, "/opt/atoll")
        for name, value in image_environment.variables(path).items()
    }
    assert {name: said.get(name) for name in wanted} == wanted


def test_nothing_of_the_user_image_is_installed_or_cached_in_the_home() -> None:
    told = environment("singleuser")
    assert told["PYTHONNOUSERSITE"] == "1"
    for name in ("PIP_CACHE_DIR", "UV_CACHE_DIR", "CONDA_PKGS_DIRS", "NPM_CONFIG_CACHE"):
        assert told[name].startswith("/tmp/cache/")
    for name in ("UV_TOOL_DIR", "UV_PYTHON_INSTALL_DIR", "CONDA_ENVS_DIRS", "NPM_CONFIG_PREFIX"):
        assert told[name].startswith("/opt/environment")


def test_the_hub_image_has_the_proxy_that_the_platform_wants() -> None:
    wanted = ".".join(str(part) for part in proxy_install.WANTED)
    manifest = json.loads((IMAGES / "hub/package.json").read_text())
    lock = json.loads((IMAGES / "hub/package-lock.json").read_text())
    assert manifest["dependencies"] == {proxy_install.PACKAGE: f"^{wanted}.0"}
    exact = lock["packages"][f"node_modules/{proxy_install.PACKAGE}"]["version"]
    assert exact.startswith(f"{wanted}.")
    assert "resolved" not in (IMAGES / "hub/package-lock.json").read_text()


def required(*extras: str) -> str:
    done = subprocess.run(
        [sys.executable, str(IMAGES / "requirements.py"), *extras],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_package_of_an_image_is_pinned(name: str) -> None:
    constraints = ROOT / "constraints.txt"
    done = subprocess.run(
        [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate",
         "--python-version", "3.11", "--constraint", str(constraints), "-"],
        input=required(*REQUIREMENTS[name]), check=True, capture_output=True, text=True,
    )  # fmt: skip
    pinned = {line.split(";")[0].strip() for line in constraints.read_text().splitlines()}
    assert done.stdout.split()
    assert set(done.stdout.splitlines()) <= pinned


def test_an_image_has_no_packages_of_other_processes() -> None:
    names = {
        image: {re.split(r"[\[<>=]", line)[0] for line in required(*extras).split()}
        for image, extras in REQUIREMENTS.items()
    }
    assert not names["hub"] & {"fastapi", "sqlalchemy", "duckdb", "jupyterlab"}
    assert not names["service"] & {"jupyterhub", "jupyterhub-kubespawner", "jupyterlab", "pandas"}
    assert not names["agent"] & {"sqlalchemy", "fastapi", "jupyterhub"}
    assert not names["singleuser's platform"] & {"pandas", "pyarrow", "fastapi", "sqlalchemy"}


def test_the_embedded_platform_has_all_that_its_processes_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    embedded = set(required("embedded").split("\n"))
    for extra in ("hub", "proxy", "service", "lab", "data", "demo"):
        assert set(project["optional-dependencies"][extra]) <= embedded


def bill(*places: str) -> str:
    done = subprocess.run(
        [sys.executable, str(IMAGES / "sbom.py"), "atoll/test", "1.2.3", *places],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_bill_of_materials_is_valid_and_always_the_same() -> None:
    places = (f"{sys.prefix}/lib", str(proxy_install.folder(Path(sys.prefix))))
    text = bill(*places, "pkg:generic/node@24.19.0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == bill(*places, "pkg:generic/node@24.19.0")
    found = {component["purl"] for component in json.loads(text)["components"]}
    assert any(purl.startswith("pkg:pypi/jupyterhub@") for purl in found)
    assert any(purl.startswith("pkg:npm/configurable-http-proxy@") for purl in found)
    assert any(purl.startswith("pkg:deb/debian/bash@") for purl in found)
    assert "pkg:generic/node@24.19.0" in found


def test_a_package_in_two_places_is_listed_once_with_both(tmp_path: Path) -> None:
    for place in ("a", "b"):
        folder = tmp_path / place / "six-1.17.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n")
    components = json.loads(bill(str(tmp_path / "a"), str(tmp_path / "b")))["components"]
    (six,) = (one for one in components if one["purl"] == "pkg:pypi/six@1.17.0")
    assert len(six["evidence"]["occurrences"]) == 2
