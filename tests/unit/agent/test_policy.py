"""What of a container is not saved, and what in it looks like a secret, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.policy import secret_in, why_left_out
from atoll.agent.runtimes.container import Container

from tests.unit.agent.containers import ended


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """Of an image with the usual directories and /var/run → /run; /data is mounted."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    gpu = upper / "usr/lib/x86_64-linux-gnu"
    gpu.mkdir(parents=True)
    for name in ("tmp", "run", "proc", "sys", "dev", "var/tmp", "home"):
        (lower / name).mkdir(parents=True)
    (lower / "var/run").symlink_to("/run")
    (lower / "work").symlink_to("home")
    (gpu / "libcuda.so.550.54").touch()
    (gpu / "libcuda.so.1").symlink_to("libcuda.so.550.54")
    (gpu / "libnvidia-ml.so.1").write_bytes(b"installed by somebody")
    targets = (b"data", b"proc", b"work/volume", b"var/run/secrets/kubernetes.io/serviceaccount")
    return ended(upper, lower, targets=targets)


GPU = b"usr/lib/x86_64-linux-gnu/"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"data", "mounted"),
        (b"work/volume", "mounted"),
        (b"etc/hosts", "runtime writes"),
        (b"etc/resolv.conf", "runtime writes"),
        (b"etc/hostname", "runtime writes"),
        (b".dockerenv", "runtime writes"),
        (b"dev/termination-log", "running system"),
        (b"tmp", "temporary"),
        (b"tmp/x", "temporary"),
        (b"var/tmp", "temporary"),
        (b"run", "each start"),
        (b"proc", "mounted"),
        (b"sys", "running system"),
        (b"var/cache/apt/archives", "cache"),
        (b"var/lib/apt/lists", "cache"),
        (b"opt/conda/pkgs", "cache"),
        (b"home/ada/miniforge3/pkgs", "cache"),
        (b"home/ada/.cache", "cache"),
        (b"root/.npm/_cacache", "cache"),
        (b"home/ada/.local/share/jupyter/runtime", "Jupyter"),
        (b"home/ada/core.1234", "core dump"),
        (GPU + b"libcuda.so.550.54", "GPU"),
        (GPU + b"libcuda.so.1", "GPU"),
    ],
)
def test_it_is_left_out_with_its_reason(container: Container, path: bytes, reason: str) -> None:
    assert reason in (why_left_out(container)(path) or "saved")


@pytest.mark.parametrize(
    "path",
    [
        b"home/ada/work/data",
        b"etc",
        b"etc/hosts.allow",
        b"etc/passwd",
        b"home/ada/tmp/x",
        b"opt/conda/lib/python3.12/site-packages/pkgs",
        b"usr/lib/python3/dist-packages/run",
        b"opt/conda/lib/python3.12/site-packages/nvidia/cublas/lib/libcublas.so.12",
        GPU + b"libnvidia-ml.so.1",
        GPU + b"libnvrtc-builtins.so.12",
        b"var/lib/dpkg/status",
        b"home/ada/.local/share/jupyter/kernels",
        b"usr/share/core",
    ],
)
def test_it_is_saved(container: Container, path: bytes) -> None:
    assert why_left_out(container)(path) is None


def test_a_directory_that_the_image_lacks_is_saved_without_what_is_in_it(
    container: Container, tmp_path: Path
) -> None:
    (tmp_path / "lower/tmp").rmdir()
    why = why_left_out(container)
    assert why(b"tmp") is None
    assert "temporary" in (why(b"tmp/x") or "")


_KEY = b"-----BEGIN PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("path", "header", "secret"),
    [
        (b"home/ada/.netrc", b"", True),
        (b"home/ada/.aws/credentials", b"", True),
        (b"home/ada/.git-credentials", b"", True),
        (b"root/.kube/config", b"", True),
        (b"home/ada/.ssh/id_ed25519", b"", True),
        (b"srv/x.pem", b"-----BEGIN PRIVATE KEY-----\n", True),
        (b"srv/notes", b"hello\n-----BEGIN RSA PRIVATE KEY-----\n", True),
        (b"srv/x", b"-----BEGIN ENCRYPTED PRIVATE KEY-----", True),
        (b"srv/x.ppk", b"PuTTY-User-Key-File-3: ssh-ed25519", True),
        (b"etc/ssl/cert.pem", b"-----BEGIN CERTIFICATE-----", False),
        (b"home/ada/.ssh/id_ed25519.pub", b"ssh-ed25519 AAAA", False),
        (b"srv/notes.md", b"how to make a PRIVATE KEY", False),
        (b"home/ada/netrc", b"", False),
        (b"venv/lib/python3.11/site-packages/tornado/test/test.key", _KEY, False),
        (b"usr/lib/python3/dist-packages/twisted/tests/x/key.pem", _KEY, False),
        (b"venv/lib/python3.11/site-packages/ours/key.pem", _KEY, True),
        (b"home/ada/tests/key.pem", _KEY, True),
        (b"venv/lib/python3.11/site-packages/ours/test/.netrc", b"", True),
    ],
)
def test_a_secret_is_known_by_its_name_or_by_how_it_begins(
    path: bytes, header: bytes, secret: bool
) -> None:
    assert (secret_in(path, header) is not None) is secret


def test_a_report_of_what_was_left_out_shows_no_control_characters() -> None:
    assert oci.shown(b"new\nline\x1b[31m") == "new\\nline\\x1b[31m"
