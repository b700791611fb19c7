"""`atoll-agent` as an operator runs it: what it saves, tells and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from atoll import oci
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.image import Compression

from tests.contract.agent.node import BASE, Node, until
from tests.contract.agent.saves import FOREVER


def agent(node: Node, *arguments: str | Path, state: Path) -> subprocess.CompletedProcess[bytes]:
    """`atoll-agent` as an operator runs it."""
    return subprocess.run(command(node, *arguments, state=state), capture_output=True, check=False)


def command(node: Node, verb: str | Path, *arguments: str | Path, state: Path) -> list[str]:
    more = ["--state", str(state)] if verb == "commit" else []
    where = ["--address", str(node.socket), "--namespace", node.namespace, *more]
    where += ["--runtime", "containerd"]
    program = str(Path(sys.executable).parent / "atoll-agent")
    return [program, str(verb), *map(str, arguments), *where]


def test_the_command_saves_and_tells_what_it_did(node: Node, tmp_path: Path) -> None:
    identity = node.run("echo x > /srv/x; echo y > /tmp/y", wait=True)
    layout = tmp_path / "layout"
    done = agent(
        node, "commit", identity, "ada", "--layout", layout, "-o", "json", state=tmp_path / "s"
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["digest"] == oci.LayoutStore(layout).images()[0].digest
    assert (told["layers"], told["size"], told["runtime"]) == (1, 2, "containerd")
    assert [item["path"] for item in told["left_out"]] == ["tmp"]
    plain = agent(node, "commit", identity, "ada", "--layout", layout, state=tmp_path / "s")
    assert plain.stdout.decode().strip() == told["digest"] or plain.stdout.startswith(b"sha256:")
    assert b"2 B" in plain.stderr
    options = ("--layout", layout, "--compression", "gzip")
    packed = agent(node, "commit", identity, "gz", *options, state=tmp_path / "s")
    image = oci.load_image(oci.LayoutStore(layout), packed.stdout.decode().strip())
    assert image.manifest.layers[-1].media_type == Compression.GZIP.value
    node.remove(identity)


def test_the_command_shows_what_differs(node: Node, tmp_path: Path) -> None:
    identity = node.run("echo x > /srv/x; rm /etc/motd", wait=True)
    done = agent(node, "diff", identity, "-o", "json", state=tmp_path / "s")
    told = json.loads(done.stdout)
    found = {entry["path"]: (entry["kind"], entry["size"]) for entry in told["entries"]}
    assert found["srv/x"] == ("file", 2)
    assert found["etc/motd"] == ("whiteout", 0)
    assert b"/srv/x" in agent(node, "diff", identity, state=tmp_path / "s").stdout
    node.remove(identity)


def test_the_commands_errors_are_sentences_with_an_exit_status(node: Node, tmp_path: Path) -> None:
    missing = agent(node, "diff", "nobody", state=tmp_path / "s")
    assert missing.returncode == 4
    assert b"no container 'nobody'" in missing.stderr
    assert b"Traceback" not in missing.stderr
    identity = node.run(FOREVER)
    layout = ("--layout", tmp_path / "layout")
    running = agent(node, "commit", identity, "x", *layout, state=tmp_path / "s")
    assert running.returncode == 5
    assert b"is running" in running.stderr
    nowhere = agent(node, "commit", identity, "no-host", "--live", state=tmp_path / "s")
    assert nowhere.returncode == 5
    assert b"host/repository:tag" in nowhere.stderr
    node.remove(identity)


def test_a_killed_command_leaves_no_image_nothing_frozen_and_the_next_one_works(
    node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    identity = node.run(
        "cat /bin/busybox /bin/busybox /bin/busybox /bin/busybox > /srv/b; mkfifo /srv/p;"
        " for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat /srv/b > /srv/b$n; done;"
        f" echo done > /srv/zz; {FOREVER}"
    )
    until((runtime.find(identity).upper / "srv" / "zz").exists, "it has written", 20)
    layout = tmp_path / "layout"
    asked = command(
        node, "commit", identity, "x", "--live", "--layout", layout, state=tmp_path / "s"
    )
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as killed:
        until(lambda: any(layout.glob(".atoll/write-*")), "it writes a layer", 20)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    store = oci.LayoutStore(layout)
    assert store.images() == ()
    assert node.state(identity) == "RUNNING"
    again = agent(node, "commit", identity, "x", "--live", "--layout", layout, state=tmp_path / "s")
    assert again.returncode == 0, again.stderr.decode()
    assert [image.name for image in oci.LayoutStore(layout).images()] == ["x"]
    assert not any(layout.glob(".atoll/write-*"))
    assert node.ctr("leases", "ls", "-q").split() == []
    assert BASE in node.ctr("images", "ls", "-q")
    node.remove(identity)
