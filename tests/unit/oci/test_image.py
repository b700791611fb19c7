"""Descriptors, configs and manifests: exact JSON out, hostile JSON refused with a clear error."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from atoll.oci.errors import DigestError, InvalidImageError, MissingError
from atoll.oci.image import (
    MANIFEST,
    Compression,
    Descriptor,
    ImageConfig,
    Manifest,
    base_config,
    build,
    canonical,
    checked_digest,
    compression_of,
    digest_of,
    parse,
    timestamp,
)
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base, export
from atoll.oci.source import Entry, Kind
from atoll.oci.store import load_image, put_blob

from tests.unit.oci.test_layer import Given
from tests.unit.oci.trees import NOW, archive, image_of, member

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "store")


def manifest(**changes: object) -> bytes:
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": DIGEST,
            "size": 2,
        },
        "layers": [{"mediaType": Compression.ZSTD.value, "digest": DIGEST, "size": 3}],
    }
    return json.dumps({**document, **changes}).encode()


def test_json_has_one_encoding() -> None:
    assert (
        canonical({"b": [1, None], "a": {"é": "\n"}}) == '{"a":{"é":"\\n"},"b":[1,null]}'.encode()
    )


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    found = Manifest.parse(manifest(annotations={"k": "v"}))
    assert Manifest.parse(found.content) == found
    assert found.annotations == {"k": "v"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schemaVersion": NaN}',
        b'{"schemaVersion": 2, "schemaVersion": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"schemaVersion": ' + b"9" * 5000 + b"}",
        b" " * (5 << 20),
        manifest(schemaVersion=1),
        manifest(schemaVersion=True),
        manifest(mediaType="application/vnd.oci.image.index.v1+json"),
        manifest(mediaType=7),
        manifest(config=None),
        manifest(config=[]),
        manifest(config={"mediaType": "x", "digest": DIGEST, "size": 2}),
        manifest(layers=None),
        manifest(layers={}),
        manifest(layers=[1]),
        manifest(layers=[{"mediaType": "x", "digest": "sha256:" + "A" * 64, "size": 1}]),
        manifest(layers=[{"mediaType": "x", "digest": "sha256:../../etc", "size": 1}]),
        manifest(layers=[{"mediaType": "x", "digest": "md5:" + "a" * 32, "size": 1}]),
        manifest(layers=[{"mediaType": "x", "digest": DIGEST + "\n", "size": 1}]),
        manifest(layers=[{"mediaType": "x", "digest": DIGEST, "size": -1}]),
        manifest(layers=[{"mediaType": "x", "digest": DIGEST, "size": 1.5}]),
        manifest(layers=[{"mediaType": "x", "digest": DIGEST, "size": True}]),
        manifest(layers=[{"mediaType": "x", "digest": DIGEST, "size": 1 << 70}]),
        manifest(layers=[{"mediaType": None, "digest": DIGEST, "size": 1}]),
        manifest(annotations={"k": 1}),
        manifest(annotations=[]),
    ],
    ids=range(32),
)
def test_a_hostile_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidImageError) as caught:
        Manifest.parse(content)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "document",
    [{}, {"rootfs": []}, {"rootfs": {"diff_ids": "x"}}, {"rootfs": {"diff_ids": [DIGEST, 1]}}],
    ids=str,
)
def test_a_config_without_valid_diff_ids_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(InvalidImageError):
        _ = ImageConfig(parse(json.dumps(document).encode(), "config")).diff_ids


@pytest.mark.parametrize(
    "config", [{"Labels": {"a": 1}}, {"Labels": []}, [], "x", {"Labels": {"a": None}}], ids=str
)
def test_labels_that_are_no_texts_are_refused(config: object) -> None:
    with pytest.raises(InvalidImageError):
        _ = ImageConfig(parse(json.dumps({"config": config}).encode(), "config")).labels


@pytest.mark.parametrize("config", [None, {}, {"Labels": None}])
def test_a_config_without_labels_has_none(config: object) -> None:
    assert ImageConfig(parse(json.dumps({"config": config}).encode(), "config")).labels == {}


def test_what_we_do_not_use_of_a_config_is_kept(store: LayoutStore) -> None:
    config = base_config(created=NOW, labels={"l": "1"})
    config = ImageConfig({**config.document, "variant": "v8", "config": {"Env": ["PATH=/bin"]}})
    image = store.publish(build(config, [], {}), "base")
    layer = write_layer(Given(Entry(b"file", Kind.FILE)), store)
    child = append_layer(store, image.digest, layer, name="child", created=NOW)
    found = load_image(store, child.digest).config.document
    assert (found["variant"], found["config"]) == ("v8", {"Env": ["PATH=/bin"]})


def test_a_layer_is_appended_with_its_diff_id_and_a_line_of_history(store: LayoutStore) -> None:
    base = create_base(store, "base", labels={"l": "1"}, created=NOW)
    layer = write_layer(Given(Entry(b"file", Kind.FILE)), store)
    child = append_layer(
        store, base.digest, layer, name="child", created=NOW, annotations={"k": "v"}
    )
    image = load_image(store, child.digest)
    assert image.manifest.layers[-1] == layer.descriptor
    assert image.config.diff_ids[-1] == layer.diff_id
    assert len(image.manifest.layers) == len(image.config.diff_ids) == 2
    history = image.config.document["history"]
    assert isinstance(history, list)
    assert len(history) == 2
    assert image.config.labels == {"l": "1"}
    assert image.manifest.annotations == {"k": "v"}
    assert image.config.document["created"] == "2026-11-24T09:00:00Z"


def test_the_same_base_has_the_same_digest(store: LayoutStore) -> None:
    one, two = (create_base(store, n, labels={"a": "b"}, created=NOW) for n in ("one", "two"))
    assert one.digest == two.digest
    other = create_base(store, "three", labels={"a": "c"}, created=NOW)
    assert other.digest != one.digest


def test_layers_and_diff_ids_must_be_as_many(store: LayoutStore) -> None:
    image = image_of(store, archive([member("file")]))
    with pytest.raises(InvalidImageError):
        build(load_image(store, image.digest).config, [], {})


def test_an_image_whose_config_lies_about_the_layers_is_refused(store: LayoutStore) -> None:
    content = base_config(created=NOW, labels={}).content
    put_blob(store, content, digest_of(content))
    lying = Manifest.parse(
        manifest(
            config={
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(content),
                "size": len(content),
            }
        )
    ).content
    put_blob(store, lying, digest_of(lying))
    with pytest.raises(InvalidImageError, match="diff_id"):
        load_image(store, digest_of(lying))


def test_a_damaged_manifest_is_refused(store: LayoutStore) -> None:
    image = image_of(store, archive([member("file")]))
    path = store.path / "blobs" / "sha256" / image.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"layers", b"lagers"))
    with pytest.raises(DigestError):
        load_image(store, image.digest)


def test_an_image_that_is_not_there_is_missing(store: LayoutStore) -> None:
    with pytest.raises(MissingError):
        load_image(store, DIGEST)


@pytest.mark.parametrize(
    "text", ["", "latest", "sha256:", DIGEST.upper(), DIGEST[:-1], DIGEST + "a", DIGEST + "\n"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidImageError):
        checked_digest(text)


def test_an_unknown_kind_of_layer_is_refused() -> None:
    assert compression_of(Compression.GZIP.value) is Compression.GZIP
    with pytest.raises(InvalidImageError, match="unknown type"):
        compression_of("application/vnd.example")


def test_a_moment_without_a_zone_is_no_timestamp() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 1))


def test_an_image_copied_to_another_store_keeps_its_digest_and_recompressed_its_contents(
    store: LayoutStore, tmp_path: Path
) -> None:
    image = image_of(store, archive([member("file", content=b"x" * 100_000)]))
    other = LayoutStore(tmp_path / "other")
    same = export(store, image.digest, other, name="same")
    assert same.digest == image.digest
    gzip = export(store, image.digest, other, name="gzip", compression=Compression.GZIP)
    one, two = load_image(store, image.digest), load_image(other, gzip.digest)
    assert two.config == one.config
    assert two.manifest.layers[0].media_type == Compression.GZIP.value
    assert isinstance(two.descriptor, Descriptor)
