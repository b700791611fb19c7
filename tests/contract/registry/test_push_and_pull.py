"""Images go into a real registry and come out of it, ours read by skopeo, skopeo's read by us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from atoll.oci.errors import InvalidImageError, MissingError
from atoll.oci.image import MANIFEST, Compression, Descriptor, build, digest_of
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base, export, take_over
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import UnsupportedError
from atoll.oci.registry_referrers import attach, content, detach, referrers
from atoll.oci.registry_settings import Reference
from atoll.oci.store import chunks, load_image, put_blob
from atoll.oci.unpack import unpack

from .servers import Running, started
from .trees import MIB, NOW, contents, noise, run, saved, tree

REPORT = "application/vnd.atoll.changes.v1+json"


def test_a_directory_goes_into_the_registry_in_one_pass_and_comes_back_the_same(
    store: RegistryStore, tmp_path: Path
) -> None:
    root = tree(tmp_path / "root", size=20 * MIB)
    image, layer = saved(store, root, "first")
    assert layer.descriptor.size > 16 * MIB  # several pieces
    unpack(store, image.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(root)
    assert store.tags() == ("first", "first-base")
    assert store.resolve("first") == Descriptor(MANIFEST, image.digest, image.size)


def test_skopeo_sees_and_copies_what_we_pushed(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    # Debian's umoci and skopeo's docker format know gzip alone
    packed = saved(store, tree(tmp_path / "root"))[0].digest
    image = export(store, packed, store, name="v1", compression=Compression.GZIP)
    there = f"docker://{registry.address}/{store.repository}:v1"
    seen = json.loads(run("skopeo", "inspect", "--tls-verify=false", there))
    assert seen["Digest"] == image.digest
    layers = load_image(store, image.digest).manifest.layers
    assert seen["Layers"] == [layer.digest for layer in layers]
    run("skopeo", "copy", "--src-tls-verify=false", there, f"oci:{tmp_path / 'copy'}:v1")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'copy'}:v1", tmp_path / "bundle")
    assert contents(tmp_path / "bundle/rootfs") == contents(tmp_path / "root")


def test_we_read_what_skopeo_pushed(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    layout = LayoutStore(tmp_path / "layout")
    base = saved(layout, tree(tmp_path / "root"), "v1")[0].digest
    export(layout, base, layout, name="v1", compression=Compression.GZIP)
    there = f"docker://{registry.address}/{store.repository}:theirs"
    source = f"oci:{layout.path}:v1"
    run("skopeo", "copy", "--dest-tls-verify=false", "--format", "v2s2", source, there)
    image = store.image("theirs")
    assert image.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    unpack(store, image.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "root")


def test_an_image_needs_no_tag(store: RegistryStore, registry: Running, tmp_path: Path) -> None:
    image, _ = saved(store, tree(tmp_path / "root"))
    assert store.tags() == ()
    assert image.digest in registry.images(store.repository)
    assert load_image(store, image.digest).digest == image.digest


def test_what_the_registry_has_is_not_sent_again(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    layout = LayoutStore(tmp_path / "layout")
    image, _ = saved(layout, tree(tmp_path / "root"), "v1")
    first = export(layout, image.digest, store, name="a")
    written = {path: path.stat().st_mtime_ns for path in registry.storage.rglob("data")}
    assert export(layout, image.digest, store, name="b").digest == first.digest == image.digest
    assert written == {path: path.stat().st_mtime_ns for path in registry.storage.rglob("data")}
    assert store.tags() == ("a", "b")


def test_an_image_is_copied_from_registry_to_registry_with_its_layers_mounted(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    image, layer = saved(store, tree(tmp_path / "root"), "v1")
    with RegistryStore(registry.reached(), f"{store.repository}/copy") as other:
        assert other.mount(layer.descriptor.digest, store.repository)
        assert not other.mount(digest_of(b"nobody has this"), store.repository)
        assert export(store, image.digest, other, name="v1").digest == image.digest
        unpack(other, image.digest, tmp_path / "back")
        assert registry.uploads(other.repository) == []
    assert contents(tmp_path / "back") == contents(tmp_path / "root")


def test_an_image_is_copied_to_another_registry_and_to_a_directory(
    store: RegistryStore, tmp_path: Path
) -> None:
    image, _ = saved(store, tree(tmp_path / "root"), "v1")
    layout = LayoutStore(tmp_path / "layout")
    with (
        started(tmp_path / "second", http={"relativeurls": True}) as second,
        RegistryStore(second.reached(), "there") as other,
    ):
        assert export(store, image.digest, other, name="v1").digest == image.digest
        packed = export(other, image.digest, layout, name="v1", compression=Compression.GZIP)
    unpack(layout, packed.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "root")


def test_a_layer_is_appended_to_a_base_of_another_repository(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    with RegistryStore(registry.reached(), f"{store.repository}/base") as bases:
        base = load_image(bases, create_base(bases, "v1", labels={}, created=NOW).digest)
        for below in base.manifest.layers:
            take_over(bases, below, store)
    _, layer = saved(store, tree(tmp_path / "root"))
    image = append_layer(store, base, layer, name="ck", created=NOW)
    unpack(store, image.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "root")


def test_publishing_names_the_layer_that_is_missing(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    _, layer = saved(LayoutStore(tmp_path / "layout"), tree(tmp_path / "root"), "v1")
    base = load_image(store, create_base(store, "", labels={}, created=NOW).digest)
    config = base.config.appended(layer.diff_id, created=NOW, comment="test")
    image = build(config, [*base.manifest.layers, layer.descriptor], {})
    before = registry.images(store.repository)
    with pytest.raises(MissingError, match=layer.descriptor.digest):
        store.publish(image, "v1")
    assert registry.images(store.repository) == before
    put_blob(store, image.config_content, image.manifest.config.digest)
    with pytest.raises(MissingError, match=layer.descriptor.digest):  # the registry's own refusal
        store.put_manifest(image.manifest_content, MANIFEST, image.digest)


def test_what_is_not_there_is_said_to_be_missing(store: RegistryStore) -> None:
    nothing = digest_of(b"nothing")
    assert not store.has(nothing)
    assert store.tags() == ()
    for asked in (store.open, store.manifest, store.resolve, store.delete, store.delete_blob):
        with pytest.raises(MissingError, match=nothing):
            asked(nothing)


def test_an_image_is_deleted_by_digest_and_its_blobs_stay_until_they_are_collected(
    store: RegistryStore, registry: Running, tmp_path: Path
) -> None:
    image, layer = saved(store, tree(tmp_path / "root"), "v1")
    store.delete(image.digest)
    with pytest.raises(MissingError):
        store.manifest(image.digest)
    assert image.digest not in registry.images(store.repository)
    assert store.has(layer.descriptor.digest)
    store.delete_blob(layer.descriptor.digest)
    assert not store.has(layer.descriptor.digest)


def test_a_registry_that_forbids_deleting_is_said_to_do_so(tmp_path: Path) -> None:
    with (
        started(tmp_path / "registry", delete=False) as running,
        RegistryStore(running.reached(), "a") as store,
    ):
        image, _ = saved(store, tree(tmp_path / "root"), "v1")
        with pytest.raises(UnsupportedError, match=r"delete\.enabled"):
            store.delete(image.digest)
        assert load_image(store, image.digest).digest == image.digest


def test_a_report_is_attached_to_an_image_and_found_from_it(
    store: RegistryStore, tmp_path: Path
) -> None:
    image, _ = saved(store, tree(tmp_path / "root"), "v1")
    assert referrers(store, image.digest) == ()
    one, two = (
        attach(
            store, image, text, artifact_type=kind, media_type="text/plain", annotations={"n": "1"}
        )
        for text, kind in ((b"packages", REPORT), (b"else", "application/vnd.other"))
    )
    assert set(referrers(store, image.digest)) == {one, two}
    assert referrers(store, image.digest, artifact_type=REPORT) == (one,)
    assert content(store, one) == b"packages"
    attach(
        store,
        image,
        b"packages",
        artifact_type=REPORT,
        media_type="text/plain",
        annotations={"n": "1"},
    )
    assert len(referrers(store, image.digest)) == 2
    detach(store, image.digest)
    assert referrers(store, image.digest) == ()
    assert load_image(store, image.digest).digest == image.digest


def test_tags_are_listed_over_several_pages(store: RegistryStore, tmp_path: Path) -> None:
    image = load_image(store, saved(store, tree(tmp_path / "root"))[0].digest)
    wanted = tuple(f"tag-{number:03}" for number in range(105))
    for tag in wanted:
        store.put_manifest(image.manifest_content, MANIFEST, tag)
    assert store.tags() == wanted


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB])
def test_blobs_of_sizes_about_a_piece(store: RegistryStore, registry: Running, size: int) -> None:
    data = noise(size, seed=size)
    put_blob(store, data, digest_of(data))
    blob = Descriptor("text/plain", digest_of(data), size)
    assert b"".join(chunks(store, blob)) == data
    assert registry.uploads(store.repository) == []


def test_an_abandoned_blob_leaves_nothing(store: RegistryStore, registry: Running) -> None:
    writer = store.writer()
    writer.write(noise(20 * MIB))
    writer.abort()
    writer.abort()
    assert registry.uploads(store.repository) == []


def test_references_are_read_as_people_write_them() -> None:
    digest = digest_of(b"x")
    text = f"hub.example:5000/team/ada:v1@{digest}"
    found = Reference.parse(text)
    assert found == Reference("hub.example:5000", "team/ada", "v1", digest)
    assert str(found) == text
    assert Reference.parse("hub.example/a").tag is None


@pytest.mark.parametrize(
    "text",
    ["a", "hub/", "/a", "hub/A", "hub/a:", "hub/a:.x", "hub/../a", "u:p@hub/a", "https://hub/a",
     "hub/a@sha256:12", "hub/a b", "hub/a?x=y", "hub/" + "a" * 255],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidImageError):
        Reference.parse(text)
