"""While the base is brought, a save that nobody wants or that takes too long ends as anywhere else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import pytest
from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.copying import Wishes
from atoll.agent.runtimes.container import Base, Container
from atoll.agent.target import base_elsewhere
from atoll.oci.image import Compression, base_config, build, digest_of

from tests.unit.agent.containers import ended

PIECE: Final = 1 << 20
PIECES: Final = 8
"""What a blob has of them; each is read by itself."""
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
DATA: Final = bytes(PIECE) * PIECES


class Given(io.RawIOBase):
    """A blob that counts the pieces which it has given."""

    def __init__(self, note: Callable[[], None]) -> None:
        self._rest = io.BytesIO(DATA)
        self._note = note

    def read(self, size: int = -1, /) -> bytes:
        self._note()
        return self._rest.read(min(size, PIECE))


class Node:
    """A runtime with one container at rest, on an image whose only layer is read piece by piece."""

    def __init__(self, top: Path, *, packed: bool) -> None:
        self.given = 0
        self._packed = packed
        digest = digest_of(DATA)
        config = base_config(created=NOW, labels={})
        config = config.appended(digest, created=NOW, comment="")
        layer = oci.Descriptor(Compression.NONE.value, digest, len(DATA))
        self._image = build(config, [layer], {})
        for name in ("upper", "lower"):
            (top / name).mkdir()
        self._container = ended(top / "upper", top / "lower")

    def find(self, _container: str) -> Container:
        return self._container

    @contextmanager
    def base(self, _container: Container) -> Iterator[Base]:
        if self._packed:
            yield Base(self._image.config, self._image, self)
        else:
            yield Base(self._image.config, tars=self)

    def close(self) -> None:
        """Nothing."""

    def has(self, _digest: str) -> bool:
        return True

    def open(self, _digest: str) -> BinaryIO:
        return Given(self._one)  # type: ignore[return-value]  # as far as it is used

    def manifest(self, _digest: str) -> bytes:
        return self._image.manifest_content

    def tar(self, _diff_id: str) -> Iterator[bytes]:
        with self.open("") as file:
            while data := file.read(PIECE):
                yield data

    def _one(self) -> None:
        self.given += 1


@pytest.fixture(params=[True, False], ids=["packed layers", "unpacked ones"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(tmp_path, packed=request.param)


def test_a_base_is_brought_as_it_is(node: Node, tmp_path: Path) -> None:
    store = oci.LayoutStore(tmp_path / "store")

    saved = commit(node, "c", store, "x", state=tmp_path / "state")

    image = oci.load_image(store, saved.base)
    assert image.config.diff_ids == (digest_of(DATA),)
    assert node.given >= PIECES


@pytest.mark.parametrize(
    ("limits", "wanted", "error"),
    [
        (oci.DEFAULT_LIMITS, 2, oci.CancelledError),
        (oci.Limits(seconds=0), PIECES + 1, oci.TooSlowError),
    ],
    ids=["not wanted", "too slow"],
)
def test_it_ends_in_the_middle_of_a_layer(
    node: Node, tmp_path: Path, limits: oci.Limits, wanted: int, error: type[oci.OciError]
) -> None:
    store = oci.LayoutStore(tmp_path / "store")
    wishes = Wishes(limits=limits, cancelled=lambda: node.given >= wanted)

    with pytest.raises(error):
        commit(node, "c", store, "x", state=tmp_path / "state", wishes=wishes)

    assert 0 < node.given <= min(wanted, 2)
    assert store.images() == ()
    assert [path for path in (tmp_path / "store").rglob("*") if path.stat().st_size > PIECE] == []


def test_another_registry_is_not_waited_for_when_nobody_wants_it() -> None:
    name = "127.0.0.1:9/profiles/notebook:one"  # nobody listens there
    with (
        base_elsewhere(name, plain_http=True, cancelled=lambda: True) as content,
        pytest.raises(oci.CancelledError),
    ):
        assert content is not None
        content.has(digest_of(b"x"))
