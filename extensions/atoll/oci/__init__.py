"""OCI images without a container runtime: sources, layers, images, stores, unpacking.

Only the standard library, zstandard and isal are used; no other part of Atoll is known here. Paths inside
an image are `bytes`, relative, with `/` between parts and no leading `/`. A digest is `sha256:` and
64 hex digits; functions take any `str` and return `Digest`. Every error is an `OciError` with
`detail` (what and why) and `hint` (what to do, or None). Everything blocks: call it from a thread.

Save a directory (everything over the base, or what changed since an index)::

    store = LayoutStore(home.images)                     # an OCI image layout directory
    base = create_base(store, "base-1", labels={"…": "…"}, created=now)   # → Descriptor
    index = Index.load(path)                             # IndexFileError: fall back to since=None
    source = DirectorySource(root, since=index, exclude=why_not, rewrite=relocate, owner=(0, 0))
    layer = write_layer(source, store, progress=on_bytes, cancelled=is_cancelled)  # → LayerResult
    if layer.entries:                                    # 0: nothing changed, no new image needed
        parent = index.image                             # since=None: the base, never the last image
        image = append_layer(store, parent, layer, name="ck-1", created=now,
                             annotations={…})            # → Descriptor; image.digest names it
        source.index(image=image.digest).save(path)      # after the image is in the store

`why_not(path) -> str | None` gives the reason for leaving a path (and all below it) out; such paths
are invisible on both sides: neither saved nor recorded as deleted. `relocate(entry, content) ->
bytes | None` may replace the content of a regular file of at most `REWRITE_LIMIT` bytes.
`progress` gets the logical bytes done; `changes(…).size` before is their total. An image's name is
letters and digits with one of `. _ : @ / + -` between them. A save that ends in `StoreFullError`
may leave its layer, complete but listed nowhere, for `collect`.
`LayerResult`: `descriptor`, `diff_id`, `entries`, `size` (logical bytes), `left_out` (of
`LeftOut(path, reason)`; a path is bytes, `shown(path)` makes it text), `torn` (paths that changed
while they were read; saved as read, and saved again next time).

Save a container's upper directory (as root)::

    from atoll.oci.overlay import OverlaySource
    from atoll.oci.overlay_changes import overlay_changes, scan

    scan(upper, exclude=why_not, limits=limits)  # → Scan(entries, size, disk, …); LimitError, SourceError
    source = OverlaySource(upper, lowers, exclude=why_not, ids=IdMaps(uids, gids), indexed=False)
    layer = write_layer(source, store)
    overlay_changes(upper, lowers)               # → Changes, against what the lowers show

and while it runs: passes with an index and a watch, then a cut that looks only where something happened::

    with Watch() as watch:                       # atoll.oci.watch; `notices_writes(scratch)` once per node
        first = OverlaySource(upper, lowers, watch=watch)
        …                                        # write_layer; then freeze
        since = changed_anyway(first.index(), mapped)   # atoll.oci.partial: files mapped for writing
        cut = OverlaySource(upper, lowers, since=since, opaque=first.opaque, only=watch.touched())

Several layers as one, the top one a blob or a source (`atoll.oci.merge`)::

    if worth_merging(len(layers), MergedSource(store, layers).weight()):
        layer = write_layer(MergedSource(store, layers, top=source), store)   # layers: (descriptor, diff_id)

What has changed, without writing anything::

    changes(root, since=index, exclude=why_not)  # → Changes: added, changed, removed: tuples of
                                                 #   Change(path, kind, size); .files and .size

Restore::

    result = unpack(store, digest, final, finish=hook, limits=Limits(), progress=on_bytes)
    result.index.save(path)                      # Unpacked: index, entries, size, left_out
    clean(final.parent)                          # what killed unpacks left behind (at start-up)

`hook(temporary: Path, final: Path)` runs on the complete tree before it is renamed into place; the
index is taken after it. An existing `final` is replaced as a whole. `progress` gets the compressed
bytes read, of `load_image(store, digest).size`. setuid, setgid and file capabilities are dropped
unless `setuid=True`, owners are the caller's unless `owner=True`.

Look into an image::

    image = load_image(store, digest)            # Image: descriptor, manifest, config
    image.manifest.layers, image.manifest.annotations, image.config.labels, image.config.diff_ids
    image.size                                   # bytes of all layers as stored (compressed)
    with open_layer(store, layer, diff_id) as reader:   # verified as it is read
        for entry in reader:                     # Entry: path kind mode uid gid size mtime_ns …
            reader.read()                        # content of the entry just given, whole

The store (`Store` is the protocol that `LayoutStore` and `registry.RegistryStore` meet)::

    store.images()                               # tuple of Descriptor, `.name` is its ref.name
    store.delete(digest) ; store.collect(keep={…}, grace=3600)  # → Collected(blobs, size)
    export(store, digest, other_store, name="x", compression=Compression.GZIP)  # → Descriptor

A registry is imported by its own name, since it needs httpx::

    from atoll.oci.registry import RegistryStore
    from atoll.oci.registry_settings import Password, Reference, Registry

    with RegistryStore(Registry("hub.example:5000", credentials=Password("u", "…")), "team/a") as store:
        layer = write_layer(source, store)       # sent while it is written
        take_over(base_store, blob, store)       # there already, mounted, or copied
        store.publish(image)                     # by digest; `name` is a tag
        store.image("v1") ; store.tags() ; store.delete(digest) ; store.mount(digest, "other/repo")

`registry_referrers`: `attach`, `referrers`, `content`, `detach` for what belongs to an image. Its errors
are in `registry_errors`: `RegistryAwayError`, `DeniedError`, `UnsupportedError`, `UploadLostError`.

Errors: `InvalidImageError` (malformed), `UnsafeLayerError` (an attack), `LimitError`, `TooSlowError`,
`DigestError` (content is not what its digest says), `MissingError` (no such image or blob), `StoreFullError` (no
room left), `IndexFileError`, `SourceError` (the directory cannot be read),
`UnreadableError` (the disk cannot read something in it), `CancelledError`.
"""

from .allowance import Allowance, Cancelled
from .changes import Change, Changes, changes
from .directory import REWRITE_LIMIT, DirectorySource, Rewrite
from .errors import (
    CancelledError,
    DigestError,
    IndexFileError,
    InvalidImageError,
    LimitError,
    MissingError,
    OciError,
    SourceError,
    StoreFullError,
    TooSlowError,
    UnreadableError,
    UnsafeLayerError,
    readable,
    room_needed,
)
from .image import Compression, Descriptor, Digest, Image, ImageConfig, Manifest
from .index import Index
from .layer import LayerResult, Progress, write_layer
from .layout import Collected, LayoutStore
from .publish import append_layer, copy_blob, create_base, export, take_over
from .reader import LayerReader, open_layer
from .source import (
    DEFAULT_LIMITS,
    Entry,
    Kind,
    LeftOut,
    Limits,
    Packed,
    Room,
    Source,
    shown,
    steps,
)
from .store import BlobWriter, Content, Store, load_image
from .unpack import Finish, Unpacked, clean, unpack
from .walk import Exclude, index_of

__all__ = [
    "DEFAULT_LIMITS",
    "REWRITE_LIMIT",
    "Allowance",
    "BlobWriter",
    "Cancelled",
    "CancelledError",
    "Change",
    "Changes",
    "Collected",
    "Compression",
    "Content",
    "Descriptor",
    "Digest",
    "DigestError",
    "DirectorySource",
    "Entry",
    "Exclude",
    "Finish",
    "Image",
    "ImageConfig",
    "Index",
    "IndexFileError",
    "InvalidImageError",
    "Kind",
    "LayerReader",
    "LayerResult",
    "LayoutStore",
    "LeftOut",
    "LimitError",
    "Limits",
    "Manifest",
    "MissingError",
    "OciError",
    "Packed",
    "Progress",
    "Rewrite",
    "Room",
    "Source",
    "SourceError",
    "Store",
    "StoreFullError",
    "TooSlowError",
    "Unpacked",
    "UnreadableError",
    "UnsafeLayerError",
    "append_layer",
    "changes",
    "clean",
    "copy_blob",
    "create_base",
    "export",
    "index_of",
    "load_image",
    "open_layer",
    "readable",
    "room_needed",
    "shown",
    "steps",
    "take_over",
    "unpack",
    "write_layer",
]
