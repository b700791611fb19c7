"""What tells a node where the registry is, run on a directory that stands for the node."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.helm.chart import CHART

SCRIPT = (CHART / "files" / "node-setup.sh").read_text("utf-8")
OTHERS = [
    "127.0.0.1 localhost",
    "10.0.0.8 other.example # atoll two/lab",
    "10.0.0.7 next.example # atoll one/lab2",
    "10.0.0.6 dot.example # atoll one.lab",
]
HOSTS = "\n".join([OTHERS[0], "10.0.0.9 old.example # atoll one/lab", *OTHERS[1:], ""])


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "node" / "certs.d").mkdir(parents=True)
    (tmp_path / "trust").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "node" / "hosts").write_text(HOSTS)
    (tmp_path / "trust" / "ca.crt").write_text("CERTIFICATE")
    return tmp_path


def set_up(node: Path, names: str = "localhost") -> subprocess.CompletedProcess[str]:
    script = re.sub(r"(?<=[ >=])/(node|trust|tmp)/", rf"{node}/\1/", SCRIPT)
    given = {
        "NAMES": names,
        "REGISTRY": "registry.atoll.svc:5000",
        "MARK": "atoll one/lab",
        "CERTS": "/etc/containerd/certs.d",
    }
    return subprocess.run(
        ["sh", "-euc", script],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_node_learns_names_and_certificate_and_keeps_the_rest(node: Path) -> None:
    done = set_up(node)
    assert done.returncode == 0, done.stderr
    lines = (node / "node" / "hosts").read_text().splitlines()
    assert lines[:-1] == OTHERS, (
        "another release's lines stay, also where its name begins with ours"
    )
    assert lines[-1].endswith(" localhost # atoll one/lab")
    folder = node / "node" / "certs.d" / "registry.atoll.svc:5000"
    assert (folder / "ca.crt").read_text() == "CERTIFICATE"
    hosts = (folder / "hosts.toml").read_text()
    assert 'server = "https://registry.atoll.svc:5000"' in hosts
    assert 'ca = "/etc/containerd/certs.d/registry.atoll.svc:5000/ca.crt"' in hosts


def test_a_second_time_changes_nothing(node: Path) -> None:
    set_up(node)
    file = node / "node" / "hosts"
    before = (file.read_text(), file.stat().st_mtime_ns, file.stat().st_ino)
    assert set_up(node).returncode == 0
    assert (file.read_text(), file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_name_without_an_address_leaves_the_node_as_it_is(node: Path) -> None:
    done = set_up(node, "nobody.invalid")
    assert done.returncode != 0
    assert "nobody.invalid has no address yet" in done.stderr
    assert (node / "node" / "hosts").read_text() == HOSTS
