"""Overlay mounts as runtimes and the kernel write them, with every escape; and paths through layers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from atoll.agent.errors import NoContainerError, SnapshotterError
from atoll.agent.runtimes.lookup import resolved
from atoll.agent.runtimes.mounts import id_map, mounts_of, parse_mountinfo, root_overlay, targets
from atoll.agent.runtimes.overlay_mount import OverlayMount, parse_options, split_options
from atoll.agent.runtimes.spec import read_spec
from atoll.agent.runtimes.users import process_on

MANY = [f"/snapshots/{number}/fs" for number in range(120)]


def mountinfo(options: str, kind: str = "overlay", point: str = "/") -> bytes:
    return f"1 0 0:50 / {point} rw,relatime master:1 - {kind} overlay {options}\n".encode()


@pytest.mark.parametrize(
    ("options", "upper", "lowers"),
    [
        ("rw,lowerdir=/b:/a,upperdir=/u,workdir=/w", "/u", ["/b", "/a"]),
        (f"index=off,workdir=/w,upperdir=/u,lowerdir={':'.join(MANY)}", "/u", MANY),
        ("lowerdir+=/b,lowerdir+=/a,datadir+=/d,upperdir=/u,workdir=/w", "/u", ["/b", "/a"]),
        ("lowerdir=/b:/a::/data1::/data2,upperdir=/u", "/u", ["/b", "/a"]),
        (r"lowerdir=/with\040space:/b,upperdir=/u\011tab", "/u\ttab", ["/with space", "/b"]),
        (r"lowerdir=/a\134:b:/c,upperdir=/u", "/u", ["/a:b", "/c"]),
        (r"lowerdir=/a\054b,upperdir=/u\054v", "/u,v", ["/a,b"]),
        (r"lowerdir+=/a:b,upperdir=/u", "/u", ["/a:b"]),
    ],
    ids=["plain", "many", "one each", "data-only", "spaces", "colon", "comma", "colon as it is"],
)
def test_the_root_of_a_process_is_found(options: str, upper: str, lowers: list[str]) -> None:
    content = mountinfo("lowerdir=/other,upperdir=/not/this", point="/mnt") + mountinfo(options)
    found = root_overlay(list(parse_mountinfo(content)))
    assert found == OverlayMount(Path(upper), tuple(map(Path, lowers)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (mountinfo("rw", kind="btrfs"), "btrfs"),
        (mountinfo("ro,lowerdir=/a"), "read-only"),
        (mountinfo("lowerdir=l/A:l/B,upperdir=/nowhere/u"), "cannot be found"),
        (b"", "unknown"),
        (b"cut off\n1 2 3\n", "unknown"),
    ],
    ids=["another kind", "read-only", "relative to nothing", "empty", "no mountinfo"],
)
def test_a_root_without_a_layer_of_changes_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(SnapshotterError, match=why) as caught:
        root_overlay(list(parse_mountinfo(content)))
    assert caught.value.code == "snapshotter_unsupported"


def test_relative_layers_lie_below_a_parent_of_the_upper_directory(tmp_path: Path) -> None:
    for name in ("overlay/one/diff", "overlay/l/A", "overlay/l/B"):
        (tmp_path / name).mkdir(parents=True)
    options = f"lowerdir=l/A:l/B,upperdir={tmp_path}/overlay/one/diff"
    found = root_overlay(list(parse_mountinfo(mountinfo(options))))
    assert found.lowers == (tmp_path / "overlay/l/A", tmp_path / "overlay/l/B")


def test_the_last_mount_over_the_root_counts_and_the_others_are_targets() -> None:
    content = (
        mountinfo("rw", kind="ext4")
        + mountinfo("lowerdir=/a,upperdir=/u")
        + mountinfo("rw", kind="tmpfs", point="/srv/my\\040data")
        + mountinfo("rw", kind="proc", point="/proc")
    )
    mounts = list(parse_mountinfo(content))
    assert root_overlay(mounts).upper == Path("/u")
    assert targets(mounts) == (b"proc", b"srv/my data")


def test_options_are_apart_at_commas_that_are_no_part_of_a_path() -> None:
    assert split_options(rb"ro,lowerdir=/a\,b:/c,upperdir=/u") == [
        b"ro",
        rb"lowerdir=/a\,b:/c",
        b"upperdir=/u",
    ]


def test_without_an_upper_directory_there_is_nothing_to_save() -> None:
    assert parse_options([b"lowerdir=/a:/b"]) is None


def test_a_real_overlay_is_found_through_its_process(tmp_path: Path) -> None:
    lower, upper, work, root = (tmp_path / name for name in ("lo:wer", "up,per", "work", "root"))
    for path in (lower, upper, work, root):
        path.mkdir()
    quoted = [str(path).replace(":", "\\:").replace(",", "\\,") for path in (lower, upper, work)]
    options = "lowerdir={},upperdir={},workdir={}".format(*quoted)
    script = 'mount -t overlay overlay -o "$1" "$2" && cd "$2" && pivot_root . . && umount -l . && read x'
    busybox = lower / "busybox"
    subprocess.run(["cp", "/bin/busybox", str(busybox)], check=True)
    command = ["unshare", "--mount", "/bin/busybox", "sh", "-c", script + "; echo ready; read y"]
    with subprocess.Popen(
        [*command, "sh", options, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        found = root_overlay(mounts_of(process.pid))
        assert (found.upper, found.lowers) == (upper, (lower,))
        assert process_on(upper) == process.pid
        assert id_map(process.pid, "uid_map") == ()
        process.communicate(b"\n")
    assert process_on(upper) is None
    with pytest.raises(NoContainerError):
        mounts_of(process.pid)


SPEC = {
    "mounts": [{"destination": "/data/"}, {"destination": "/proc"}, {"no": "destination"}, 5],
    "linux": {
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"hostID": 200000, "size": 65536}],
    },
    "annotations": {"a": "b", "c": 5},
}


def test_a_specification_says_what_is_mounted_and_whose_ids() -> None:
    spec = read_spec({**SPEC, "linux": {**SPEC["linux"], "cgroupsPath": "/kubepods/pod1/c1"}})  # type: ignore[arg-type, dict-item, list-item]
    assert spec.targets == (b"data", b"proc")
    assert spec.uids == ((0, 100000, 65536),)
    assert spec.gids == ((0, 200000, 65536),)
    assert spec.cgroup == "/kubepods/pod1/c1"
    assert spec.annotations == {"a": "b"}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/default/one", "/default/one"),
        ("relative/one", "/relative/one"),
        ("system.slice:docker:abc", "/system.slice/docker-abc.scope"),
        (":docker:abc", "/system.slice/docker-abc.scope"),
        (
            "kubepods-burstable-pod1.slice:cri-containerd:abc",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"
            "/cri-containerd-abc.scope",
        ),
        ("-.slice:x:abc", "/x-abc.scope"),
        ("", None),
    ],
)
def test_a_cgroup_is_a_path_however_it_is_written(written: str, path: str | None) -> None:
    assert read_spec({"linux": {"cgroupsPath": written}}).cgroup == path


@pytest.mark.parametrize("document", [{}, {"linux": 5, "mounts": {}, "annotations": []}])
def test_a_specification_without_any_of_it_is_none_the_worse(document: dict[str, object]) -> None:
    spec = read_spec(document)  # type: ignore[arg-type]
    assert (spec.targets, spec.uids, spec.cgroup, spec.annotations) == ((), (), None, {})


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for name in ("var/log", "usr/lib", "gone/in", "opaque/in", "loop"):
        (lower / name).mkdir(parents=True)
    (lower / "var/run").symlink_to("/run")
    (lower / "run").mkdir()
    (lower / "lib").symlink_to("usr/lib")
    (lower / "loop/a").symlink_to("b")
    (lower / "loop/b").symlink_to("../loop/a")
    (lower / "out").symlink_to("../../../../../usr")
    for name in ("opaque", "var"):
        (upper / name).mkdir(parents=True)
    os.setxattr(upper / "opaque", "trusted.overlay.opaque", b"y")
    os.mknod(upper / "gone", 0o600 | 0o020000, 0)
    (upper / "var/spool").symlink_to("log")
    return upper, lower


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        (b"var/run/secrets", None),
        (b"var/run", b"run"),
        (b"lib", b"usr/lib"),
        (b"/lib/", b"usr/lib"),
        (b"var/spool", b"var/log"),
        (b"usr/../var/./log", b"var/log"),
        (b"out/lib", b"usr/lib"),
        (b"gone", None),
        (b"gone/in", None),
        (b"opaque", b"opaque"),
        (b"opaque/in", None),
        (b"loop/a", None),
        (b"nothing", None),
    ],
)
def test_a_path_is_followed_through_the_layers_and_never_out_of_them(
    layers: tuple[Path, Path], path: bytes, leads_to: bytes | None
) -> None:
    assert resolved(layers, path) == leads_to


def test_the_last_part_need_not_be_followed(layers: tuple[Path, Path]) -> None:
    assert resolved(layers, b"var/run", last=False) == b"var/run"
