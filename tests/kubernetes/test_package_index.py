"""A package index of one's own: a profile's variable leads there, and what comes of it is kept."""

from __future__ import annotations

import pytest

from tests.kubernetes import index
from tests.kubernetes.driver import Platform
from tests.kubernetes.where import ENVIRONMENTS

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]


def test_what_is_installed_from_the_index_of_the_profile_is_there_again(platform: Platform) -> None:
    index.offer(platform)
    uma = platform.user("uma")
    uma.start(profile="indexed")
    said = uma.run("pip", "install", "humanize")
    assert f"Looking in indexes: http://{index.INDEX}." in said
    uma.run("uv", "pip", "install", "cowsay")
    missing = uma.sh("pip install no-such-thing 2>&1", check=False)
    assert "No matching distribution found for no-such-thing" in missing
    uma.stop()
    saved = uma.settled()

    uma.start(profile="standard")  # what is installed needs no index any more
    image = uma.pod["spec"]["containers"][0]["image"]
    assert image == f"{ENVIRONMENTS}/uma@{saved.environment}"
    assert uma.run("python", "-c", "import humanize; print(humanize.intcomma(12345))") == "12,345\n"
    assert "kept" in uma.run("cowsay", "-t", "kept")
    (checkpoint,) = uma.checkpoints()
    assert checkpoint.changes is not None
    found = {one.name: one.after for one in checkpoint.changes.packages}
    assert found == {"humanize": "4.12.3", "cowsay": "6.1"}
    uma.stop()
    uma.settled()
