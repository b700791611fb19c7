"""Hostile images: each attack is refused, nothing outside is touched, and nothing is left behind."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from atoll.oci.errors import (
    DigestError,
    InvalidImageError,
    LimitError,
    OciError,
    UnsafeLayerError,
)
from atoll.oci.image import Compression, Descriptor, Digest, base_config, build, digest_of
from atoll.oci.layout import LayoutStore
from atoll.oci.source import Limits
from atoll.oci.store import put_blob
from atoll.oci.unpack import unpack

from tests.unit.oci.trees import NOW, archive, debris, image_of, member

Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, store: LayoutStore) -> Refused:
    """Unpacks layers over an existing directory, expects an error, and that nothing has changed."""
    area = tmp_path / "area"
    area.mkdir()
    (area / "outside").mkdir()
    (area / "outside" / "file").write_text("untouched")
    (area / "final").mkdir()
    (area / "final" / "before").write_text("before")

    def check(error: type[OciError], *tars: bytes, limits: Limits | None = None) -> None:
        image = image_of(store, *tars)
        with pytest.raises(error) as caught:
            unpack(store, image.digest, area / "final", limits=limits or Limits())
        assert str(caught.value).isprintable()
        assert [path.name for path in (area / "outside").iterdir()] == ["file"]
        assert (area / "outside" / "file").read_text() == "untouched"
        assert [path.name for path in (area / "final").iterdir()] == ["before"]
        assert debris(area) == []

    return check


@pytest.mark.parametrize(
    "name", ["../outside/new", "dir/../../outside/new", "..", "dir/..", "./../outside/new"]
)
def test_a_path_that_leads_outside_is_refused(refused: Refused, name: str) -> None:
    refused(UnsafeLayerError, archive([member(name, content=b"x")]))


def test_an_absolute_path_is_refused(refused: Refused, tmp_path: Path) -> None:
    refused(UnsafeLayerError, archive([member(f"{tmp_path}/area/outside/new", content=b"x")]))


def test_a_file_below_a_symlink_is_refused(refused: Refused) -> None:
    link = member("dir", tarfile.SYMTYPE, link="../outside")
    refused(UnsafeLayerError, archive([link, member("dir/new", content=b"x")]))


def test_a_file_below_a_symlink_of_a_lower_layer_is_refused(refused: Refused) -> None:
    lower = archive([member("dir", tarfile.SYMTYPE, link="../outside")])
    refused(UnsafeLayerError, lower, archive([member("dir/new", content=b"x")]))


def test_a_directory_entry_on_a_symlink_replaces_the_link(
    store: LayoutStore, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir(mode=0o700)
    members = [
        member("dir", tarfile.SYMTYPE, link="../outside"),
        member("dir", tarfile.DIRTYPE, mode=0o777),
        member("dir/new", content=b"x"),
    ]
    unpack(store, image_of(store, archive(members)).digest, tmp_path / "final")
    assert (tmp_path / "final" / "dir" / "new").read_text() == "x"
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o700


def test_a_file_entry_on_a_symlink_replaces_the_link_not_its_target(
    store: LayoutStore, tmp_path: Path
) -> None:
    (tmp_path / "target").write_text("untouched")
    lower = archive([member("name", tarfile.SYMTYPE, link="../target")])
    image = image_of(store, lower, archive([member("name", content=b"new")]))
    unpack(store, image.digest, tmp_path / "final")
    assert (tmp_path / "target").read_text() == "untouched"
    assert (tmp_path / "final" / "name").read_text() == "new"


@pytest.mark.parametrize("link", ["../outside/file", "/etc/passwd", "dir/../../outside/file"])
def test_a_hard_link_to_a_file_outside_is_refused(refused: Refused, link: str) -> None:
    refused(UnsafeLayerError, archive([member("name", tarfile.LNKTYPE, link=link)]))


def test_a_hard_link_through_a_symlink_is_refused(refused: Refused) -> None:
    way = member("dir", tarfile.SYMTYPE, link="../outside")
    refused(UnsafeLayerError, archive([way, member("name", tarfile.LNKTYPE, link="dir/file")]))


def test_a_hard_link_to_a_symlink_does_not_reach_its_target(
    store: LayoutStore, tmp_path: Path
) -> None:
    (tmp_path / "target").write_text("untouched")
    members = [
        member("way", tarfile.SYMTYPE, link="../target"),
        member("name", tarfile.LNKTYPE, link="way"),
        member("name", content=b"written"),
    ]
    unpack(store, image_of(store, archive(members)).digest, tmp_path / "final")
    assert (tmp_path / "target").read_text() == "untouched"
    assert (tmp_path / "target").stat().st_nlink == 1


@pytest.mark.parametrize("link", ["name", "missing", "dir", ""])
def test_a_hard_link_to_itself_to_nothing_or_to_a_directory_is_refused(
    refused: Refused, link: str
) -> None:
    directory = member("dir", tarfile.DIRTYPE, mode=0o755)
    refused(InvalidImageError, archive([directory, member("name", tarfile.LNKTYPE, link=link)]))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_or_a_pipe_is_refused(refused: Refused, kind: bytes) -> None:
    refused(UnsafeLayerError, archive([member("dev/null", kind)]))


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "dir/.wh..."])
def test_a_whiteout_of_a_directory_itself_or_its_parent_is_refused(
    refused: Refused, name: str
) -> None:
    refused(UnsafeLayerError, archive([member(name)]))


def test_a_whiteout_through_a_symlink_removes_nothing_outside(refused: Refused) -> None:
    lower = archive([member("dir", tarfile.SYMTYPE, link="../outside")])
    refused(UnsafeLayerError, lower, archive([member("dir/.wh.file")]))


def test_an_opaque_mark_through_a_symlink_removes_nothing_outside(refused: Refused) -> None:
    lower = archive([member("dir", tarfile.SYMTYPE, link="../outside")])
    refused(UnsafeLayerError, lower, archive([member("dir/.wh..wh..opq")]))


def test_setuid_and_setgid_are_taken_from_files_unless_asked_for(
    store: LayoutStore, tmp_path: Path
) -> None:
    image = image_of(store, archive([member("tool", content=b"x", mode=0o6755)]))
    unpack(store, image.digest, tmp_path / "safe")
    assert (tmp_path / "safe" / "tool").stat().st_mode & 0o7777 == 0o755
    unpack(store, image.digest, tmp_path / "trusted", setuid=True)
    assert (tmp_path / "trusted" / "tool").stat().st_mode & 0o7777 == 0o6755


def test_file_capabilities_and_overlay_attributes_are_not_restored_and_named(
    store: LayoutStore, tmp_path: Path
) -> None:
    capability = "\x01\x00\x00\x02" + "\x00" * 16
    pax = {
        "SCHILY.xattr.security.capability": capability,
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.fine": "yes",
    }
    image = image_of(store, archive([member("tool", content=b"x")], pax=pax))
    result = unpack(store, image.digest, tmp_path / "final")
    assert os.listxattr(tmp_path / "final" / "tool") == ["user.fine"]
    assert [item.path for item in result.left_out] == [b"tool", b"tool"]


def test_more_bytes_than_allowed_are_refused(refused: Refused) -> None:
    big = archive([member("big", content=bytes(100_000))])
    refused(LimitError, big, limits=Limits(size=99_999))


def test_bytes_of_all_layers_count_together(refused: Refused) -> None:
    one, two = (archive([member(name, content=bytes(60_000))]) for name in ("one", "two"))
    refused(LimitError, one, two, limits=Limits(size=100_000))


def test_more_entries_than_allowed_are_refused(refused: Refused) -> None:
    refused(LimitError, archive([member(f"{n}") for n in range(11)]), limits=Limits(entries=10))


def test_a_path_deeper_than_allowed_is_refused(refused: Refused) -> None:
    refused(LimitError, archive([member("/".join(["d"] * 300))]))


def test_a_header_that_promises_more_than_follows_is_refused(refused: Refused) -> None:
    info = tarfile.TarInfo("big")
    info.size = 1 << 33
    refused(InvalidImageError, info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))


def test_a_header_that_promises_more_than_allowed_is_refused_before_it_is_read(
    refused: Refused,
) -> None:
    info = tarfile.TarInfo("big")
    info.size = 1 << 50
    refused(LimitError, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_a_decompression_bomb_after_the_end_of_the_archive_is_refused(refused: Refused) -> None:
    bomb = archive([member("file")]) + bytes(64 << 20)
    refused(LimitError, bomb, limits=Limits(size=1000, entries=10))


def test_a_zstd_frame_that_asks_for_gigabytes_of_memory_is_refused(
    store: LayoutStore, tmp_path: Path
) -> None:
    tar = archive([member("file")])
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(tar) + compressor.flush()
    image = _image(store, packed, digest_of(tar))
    with pytest.raises(InvalidImageError):
        unpack(store, image.digest, tmp_path / "final")
    assert not (tmp_path / "final").exists()


def _image(store: LayoutStore, packed: bytes, diff_id: Digest) -> Descriptor:
    """An image of one layer with these very bytes, whatever they are."""
    put_blob(store, packed, digest_of(packed))
    config = base_config(created=NOW, labels={}).appended(diff_id, created=NOW, comment="test")
    layer = Descriptor(Compression.ZSTD.value, digest_of(packed), len(packed))
    return store.publish(build(config, [layer], {}), "hostile")


def _pax(record: bytes) -> bytes:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    info.size = len(record)
    return (
        info.tobuf(tarfile.USTAR_FORMAT)
        + record.ljust(-(-len(record) // 512) * 512, b"\0")
        + tarfile.TarInfo("file").tobuf(tarfile.USTAR_FORMAT)
        + bytes(1024)
    )


@pytest.mark.parametrize(
    "record",
    [
        b"garbage",
        b"99999999 path=x\n",
        b"3 x",
        b"-5 a=b\n",
        b"0 path=x\n",
        b"10 path=x",
        b"9 path=xy\n",
        b"11 mtime=x\n",
        b"12 size=-1\n",
        b"30 size=99999999999999999999\n",
        b"13 uid=1e10\n",
        b"16 mtime=1.2.3\n",
        b"7 =bar\n",
        b"23 GNU.sparse.major=1\n",
    ],
)
def test_garbage_in_extended_headers_is_refused(refused: Refused, record: bytes) -> None:
    refused(InvalidImageError, _pax(record))


def test_an_extended_header_of_gigabytes_is_refused_before_it_is_read(refused: Refused) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    info.size = 3 << 30
    refused(LimitError, info.tobuf(tarfile.USTAR_FORMAT) + bytes(512))


@pytest.mark.parametrize("mtime", [b"9999999999999999999", b"-9999999999999999999"])
def test_a_time_that_no_file_can_have_is_an_error_of_the_image(
    refused: Refused, mtime: bytes
) -> None:
    record = b" mtime=" + mtime + b"\n"
    refused(InvalidImageError, _pax(b"%d" % (len(record) + 2) + record))


@pytest.mark.parametrize("seconds", [15_000_000_000, 99_999_999_999_999_999, -(10**17)])
def test_a_time_far_from_now_is_restored_as_well_as_the_file_system_can(
    store: LayoutStore, tmp_path: Path, seconds: int
) -> None:
    record = b" mtime=%d\n" % seconds
    image = image_of(store, _pax(b"%d" % (len(record) + 2) + record))
    result = unpack(store, image.digest, tmp_path / "final")
    assert abs((tmp_path / "final" / "file").stat().st_mtime) >= 1 << 31
    assert len(result.index) == 1


def test_a_name_longer_than_a_file_system_takes_is_an_error_of_the_image(
    refused: Refused,
) -> None:
    refused(InvalidImageError, archive([member("n" * 300)]))


def test_an_owner_that_no_file_can_have_is_an_error_of_the_image(
    store: LayoutStore, tmp_path: Path
) -> None:
    record = b"18 uid=9999999999\n"
    image = image_of(store, _pax(record))
    if os.geteuid() == 0:
        with pytest.raises(InvalidImageError):
            unpack(store, image.digest, tmp_path / "final", owner=True)
        assert debris(tmp_path) == []


def test_a_path_with_nul_bytes_is_refused(refused: Refused) -> None:
    refused(OciError, _pax(b"14 path=a\0b/c\n"))


def test_a_wrong_checksum_in_a_header_is_refused(refused: Refused) -> None:
    tar = bytearray(archive([member("file", content=b"x")]))
    tar[0] ^= 1
    refused(InvalidImageError, bytes(tar))


def test_an_archive_cut_short_is_refused(refused: Refused) -> None:
    refused(InvalidImageError, archive([member("file", content=bytes(5000))])[:2000])


def test_what_is_no_archive_and_no_zstd_is_refused(
    store: LayoutStore, tmp_path: Path, refused: Refused
) -> None:
    refused(InvalidImageError, os.urandom(5000))
    garbage = os.urandom(5000)
    image = _image(store, garbage, digest_of(b""))
    with pytest.raises(InvalidImageError):
        unpack(store, image.digest, tmp_path / "final")


def test_a_layer_whose_blob_was_changed_on_disk_is_refused(
    store: LayoutStore, tmp_path: Path
) -> None:
    image = image_of(store, archive([member("file", content=b"x" * 5000)]))
    layers = sorted((tmp_path / "store" / "blobs" / "sha256").iterdir())
    for blob in layers:
        content = blob.read_bytes()
        if content[:1] != b"{":
            other = zstandard.ZstdCompressor(level=3).compress(
                archive([member("file", content=b"y" * 5000)])
            )
            blob.write_bytes(other[: len(content)].ljust(len(content), b"\0"))
    with pytest.raises((DigestError, InvalidImageError)):
        unpack(store, image.digest, tmp_path / "final")
    assert not (tmp_path / "final").exists()


def test_a_layer_that_is_not_what_the_config_says_is_refused(
    store: LayoutStore, tmp_path: Path
) -> None:
    tar = archive([member("file", content=b"x")])
    image = _image(store, zstandard.ZstdCompressor().compress(tar), digest_of(b"other"))
    with pytest.raises(DigestError):
        unpack(store, image.digest, tmp_path / "final")
    assert not (tmp_path / "final").exists()
    assert debris(tmp_path) == []


def test_names_with_newlines_and_escapes_cannot_forge_a_line_of_a_log(refused: Refused) -> None:
    refused(UnsafeLayerError, archive([member("a\nERROR \x1b[31m", tarfile.CHRTYPE)]))


def test_hundreds_of_implicit_directories_do_not_use_up_descriptors(
    store: LayoutStore, tmp_path: Path
) -> None:
    members = [member(f"{n}/{n}/{n}/file") for n in range(500)]
    unpack(store, image_of(store, archive(members)).digest, tmp_path / "final")
    assert len(list((tmp_path / "final").iterdir())) == 500


def test_headers_that_describe_nothing_are_bounded_too(refused: Refused) -> None:
    out = io.BytesIO()
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XGLTYPE
    for _ in range(40_000):
        out.write(info.tobuf(tarfile.USTAR_FORMAT))
    refused(LimitError, out.getvalue() + bytes(1024), limits=Limits(size=1 << 20, entries=100))
