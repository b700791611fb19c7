"""Images of overlays, as tests make them."""

from __future__ import annotations

from pathlib import Path

from atoll.oci.directory import DirectorySource
from atoll.oci.image import Descriptor
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base
from atoll.oci.source import Entry, Source

from tests.unit.oci.trees import NOW


def append(store: LayoutStore, parent: Descriptor, source: Source, name: str) -> Descriptor:
    """The image `parent` with what `source` gives on top; nothing may have changed meanwhile."""
    layer = write_layer(source, store)
    assert not layer.torn
    return append_layer(store, parent.digest, layer, name=name, created=NOW)


def base_image(store: LayoutStore, lower: Path) -> Descriptor:
    """The lower directory as an image, its owners as they are."""
    empty = create_base(store, "empty", labels={}, created=NOW)
    return append(store, empty, DirectorySource(lower), "base")


def taken(source: Source) -> dict[bytes, Entry]:
    """All entries by path, the contents read; an opaque mark goes by its directory and `/`."""
    found = {}
    for entry in source.entries():
        if entry.size:
            assert sum(map(len, source.content(entry))) == entry.size
        found[entry.path + b"/" if entry.kind.value == "opaque" else entry.path] = entry
    return found
