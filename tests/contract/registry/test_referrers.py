"""What belongs to an image in a registry that keeps the list of it itself (distribution specification 1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from atoll.oci import registry_referrers
from atoll.oci.image import INDEX, Descriptor, digest_of
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import RegistryError
from atoll.oci.registry_referrers import attach, content, detach, referrers
from atoll.oci.store import load_image

from .faults import Faults, Passing, answers
from .trees import saved, tree

REPORT: Final = "application/vnd.atoll.changes.v1+json"
OTHER: Final = "application/vnd.other"
_PAGE: Final = 2


@dataclass
class Api:
    """The referrers API, which Debian's registry has not: in front of it, over what goes through."""

    subjects: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def put(self, passing: Passing) -> None:
        """A manifest is stored; the answer says so where it belongs to an image."""
        body = passing.rfile.read(passing.length)
        passing.rfile.read = lambda *_: body  # type: ignore[method-assign]  # once more, for the registry
        answer = passing.passed_on()
        del passing.rfile.read  # type: ignore[method-assign]
        document = json.loads(body)
        headers = {}
        if "subject" in document:
            image = document["subject"]["digest"]
            one = Descriptor(document["mediaType"], digest_of(body), len(body)).document()
            kept = self.subjects.setdefault(image, [])
            kept.append({**one, "artifactType": document["artifactType"]})
            headers["oci-subject"] = image
        passing.relay(answer, headers=headers)

    def get(self, passing: Passing) -> None:
        """The list, a page at a time."""
        path, _, rest = passing.path.partition("?last=")
        start = int(rest or 0)
        kept = self.subjects.get(path.rpartition("/")[2], [])
        page = kept[start : start + _PAGE]
        more = f'<{path}?last={start + _PAGE}>; rel="next"' if kept[start + _PAGE :] else ""
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": page}).encode()
        answers(200, body=body, content_type=INDEX, **({"link": more} if more else {}))(passing)

    def delete(self, passing: Passing) -> None:
        """A manifest goes, and from its list."""
        digest = passing.path.rpartition("/")[2]
        for kept in self.subjects.values():
            kept[:] = [one for one in kept if one["digest"] != digest]
        passing.relay(passing.passed_on())


@pytest.fixture
def api(faults: Faults) -> Iterator[Api]:
    found = Api()
    faults.on("PUT", "/manifests/", found.put, times=1000)
    faults.on("GET", "/referrers/", found.get, times=1000)
    faults.on("DELETE", "/manifests/", found.delete, times=1000)
    return found


def attached(store: RegistryStore, image: Descriptor, number: int, kind: str = REPORT) -> str:
    text = f"report {number}".encode()
    done = attach(store, image, text, artifact_type=kind, media_type="text/plain")
    return str(done.descriptor.digest)


def test_its_own_list_is_used_and_no_tag_is_made(
    broken: RegistryStore, api: Api, tmp_path: Path
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")
    one, two = attached(broken, image, 1), attached(broken, image, 2, OTHER)

    found = referrers(broken, image.digest)

    assert [str(item.descriptor.digest) for item in found] == [one, two]
    [report] = referrers(broken, image.digest, artifact_type=REPORT)
    assert content(broken, report) == b"report 1"
    assert broken.tags() == ("v1", "v1-base")
    assert api.subjects.keys() == {image.digest}


def test_its_list_is_read_over_all_pages_and_emptied(
    broken: RegistryStore, api: Api, tmp_path: Path
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")
    wanted = [attached(broken, image, number) for number in range(2 * _PAGE + 1)]

    assert [str(one.descriptor.digest) for one in referrers(broken, image.digest)] == wanted

    detach(broken, image.digest)
    assert referrers(broken, image.digest) == ()
    assert api.subjects == {image.digest: []}
    assert load_image(broken, image.digest).digest == image.digest


def test_what_was_listed_by_a_tag_before_goes_with_it(
    store: RegistryStore, broken: RegistryStore, faults: Faults, tmp_path: Path
) -> None:
    """The registry is updated: by the specification it lists what its tag listed, too."""
    image, _ = saved(store, tree(tmp_path / "root"), "v1")
    old = attached(store, image, 1)
    tag = image.digest.replace(":", "-")
    assert tag in store.tags()
    api = Api({image.digest: json.loads(store.manifest(store.resolve(tag).digest))["manifests"]})
    faults.on("PUT", "/manifests/", api.put, times=1000)
    faults.on("GET", "/referrers/", api.get, times=1000)
    faults.on("DELETE", "/manifests/", api.delete, times=1000)
    new = attached(broken, image, 2)

    assert {str(one.descriptor.digest) for one in referrers(broken, image.digest)} == {old, new}
    detach(broken, image.digest)
    assert store.tags() == ("v1", "v1-base")
    assert referrers(store, image.digest) == ()


def test_one_whose_client_was_killed_before_it_was_listed_is_found_and_goes(
    store: RegistryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = saved(store, tree(tmp_path / "root"), "v1")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(registry_referrers, "_list", dies)
        attached(store, image, 1)

    [found] = referrers(store, image.digest)
    assert (found.artifact_type, content(store, found)) == (REPORT, b"report 1")
    attached(store, image, 2)
    assert len(referrers(store, image.digest)) == 2
    detach(store, image.digest)
    assert referrers(store, image.digest) == ()
    assert store.tags() == ("v1", "v1-base")


def dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_list_without_end_is_refused(
    broken: RegistryStore, faults: Faults, tmp_path: Path
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")

    def again(passing: Passing) -> None:
        body = b'{"schemaVersion":2,"manifests":[]}'
        answers(200, body=body, link=f'<{passing.path}>; rel="next"')(passing)

    faults.on("GET", "/referrers/", again, times=100_000)
    with pytest.raises(RegistryError, match="without end"):
        referrers(broken, image.digest)


@pytest.mark.parametrize(
    "elsewhere", ["file:///etc/passwd", "http://ada:secret@127.0.0.1/v2/", "ftp://127.0.0.1/"]
)
def test_a_next_page_leads_nowhere_that_is_not_safe(
    broken: RegistryStore, faults: Faults, tmp_path: Path, elsewhere: str
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")
    body = b'{"schemaVersion":2,"manifests":[]}'
    faults.on("GET", "/referrers/", answers(200, body=body, link=f'<{elsewhere}>; rel="next"'))
    with pytest.raises(RegistryError, match="not safe"):
        referrers(broken, image.digest)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"manifests":{}}', b'{"manifests":[{}]}', b"\xff"]
)
def test_what_is_no_list_is_said_to_be_none(
    broken: RegistryStore, faults: Faults, tmp_path: Path, body: bytes
) -> None:
    image, _ = saved(broken, tree(tmp_path / "root"), "v1")
    faults.on("GET", "/referrers/", answers(200, body=body))
    with pytest.raises(Exception, match="artifact") as caught:
        referrers(broken, image.digest)
    assert re.search("no list|no valid JSON|no JSON object|is no|gives no", str(caught.value))
