"""Several layers as one: what they come to together, against the base that they lie on."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .errors import InvalidImageError
from .image import Descriptor, Digest
from .layered import FileId, Folder, Layered, Mark, file_id, layer_of
from .reader import LayerReader, open_layer
from .source import DEFAULT_LIMITS, Entry, Kind, LeftOut, Limits, Source, shown
from .store import Content

MOST_LAYERS = 8
"""Layers of a user that an image may have: each is a lower directory more at every path looked up."""
MOST_SHADOWED = 0.3
"""Part of the layers' bytes that nobody sees any more, and everybody pulls."""

InBase = Callable[[bytes], bool]
"""Whether the base has something at a path."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Logical bytes of the files in some layers, and how many of them upper ones replaced or deleted."""

    size: int
    shadowed: int


def worth_merging(layers: int, weight: Weight) -> bool:
    """Whether `layers` layers of a user, the new one included, should become one."""
    if layers < 2:
        return False
    return layers > MOST_LAYERS or weight.shadowed > MOST_SHADOWED * weight.size


class MergedSource:
    """Gives the entries of one layer in place of several, once; used by one thread.

    No content is kept: the layers are read twice, first for their names, then for the contents that
    are still seen; memory goes by the number of names. Each path is what the uppermost layer says of
    it. A deletion stays, for the base, unless `in_base` says that the base has nothing there.
    """

    def __init__(
        self,
        store: Content,
        layers: Sequence[tuple[Descriptor, Digest]],
        *,
        top: Source | None = None,
        in_base: InBase | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`layers` with their diff ids, the lowest first; `top` lies over them and is read once."""
        self._store = store
        self._layers = layers
        self._top = top
        self._in_base = in_base
        self._limits = limits
        self._tree = Layered(limits)
        self._sizes = [array("Q") for _ in layers]
        self._source: Source | LayerReader | None = None
        self._original: Entry | None = None  # the entry at hand, as its own source gave it
        self._made: set[bytes] = set()  # directories given, and what is in them may follow
        self._emptied: set[bytes] = set()  # given as opaque, or nothing of the base is there

    def entries(self) -> Iterator[Entry]:
        """The top's entries, then directories and deletions, then the files layer by layer.

        Raises what reading a layer raises, and `InvalidImageError` for a hard link to a file of the
        base that is hidden by now.
        """
        self._read_names()
        if self._top is not None:
            yield from self._of_top(self._top)
        yield from self._structure()
        for number in range(len(self._layers)):
            yield from self._files(number)
        yield from self._links_to_base()

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Exactly `entry.size` bytes of the file `entry`, which must be the last one given."""
        if self._source is None or self._original is None:
            raise ValueError("only the content of the entry just given can be read")
        if isinstance(self._source, LayerReader):
            return self._source.content()
        return self._source.content(self._original)

    def left_out(self) -> tuple[LeftOut, ...]:
        """What the top left out so far."""
        return self._top.left_out() if self._top is not None else ()

    def torn(self) -> tuple[bytes, ...]:
        """Files of the top that changed while they were read, so far."""
        return self._top.torn() if self._top is not None else ()

    def weight(self) -> Weight:
        """What merging `layers` would save, without the top; reads their names only."""
        self._read_names()
        kept, linked = 0, set[FileId]()  # those of several names that were counted
        for _, node, _ in self._tree.walk():
            if isinstance(node, int) and node not in linked:
                kept += self._size_of(node)
                if node in self._tree.links:
                    linked.add(node)
        size = sum(map(sum, self._sizes))
        return Weight(size, size - kept)

    def _size_of(self, file: FileId) -> int:
        layer = layer_of(file)
        return self._sizes[layer][file - file_id(layer, 0)]

    def _read_names(self) -> None:
        for number, (descriptor, diff_id) in enumerate(self._layers):
            with open_layer(self._store, descriptor, diff_id, limits=self._limits) as reader:
                for position, entry in enumerate(reader):
                    self._sizes[number].append(entry.size)
                    self._tree.apply(number, position, entry)

    def _of_top(self, top: Source) -> Iterator[Entry]:
        """The top's entries as they come; other names of what lower layers have come later."""
        layer = len(self._layers)
        for position, entry in enumerate(top.entries()):
            yield from self._around(entry.path)
            before = self._tree.find(entry.path)
            self._tree.apply(layer, position, entry)
            if entry.kind is Kind.HARDLINK and not self._of_layer(entry.link, layer):
                continue
            if entry.kind is Kind.OPAQUE and entry.path in self._emptied:
                continue  # given with its directory
            self._source, self._original = top, entry
            yield entry
            if entry.kind is Kind.DIRECTORY:
                self._made.add(entry.path)
                if before is not None and not (isinstance(before, Folder) and not before.opaque):
                    yield from self._opaque(entry.path)

    def _of_layer(self, path: bytes, layer: int) -> bool:
        node = self._tree.find(path)
        if isinstance(node, int):
            return layer_of(node) == layer
        return isinstance(node, Mark) and node.layer == layer and node.entry.kind is Kind.SYMLINK

    def _around(self, path: bytes) -> Iterator[Entry]:
        """The directories that `path` is in, as lower layers have them, where not given yet."""
        parent = path.rpartition(b"/")[0]
        if not parent or parent in self._made:
            return
        yield from self._around(parent)
        self._made.add(parent)
        node = self._tree.find(parent)
        if isinstance(node, Folder):
            yield from self._folder(parent, node)

    def _folder(self, path: bytes, node: Folder) -> Iterator[Entry]:
        if node.entry is not None:
            yield node.entry
        if node.opaque:
            yield from self._opaque(path)

    def _opaque(self, path: bytes) -> Iterator[Entry]:
        self._emptied.add(path)
        if self._hides(path):
            yield Entry(path, Kind.OPAQUE)

    def _hides(self, path: bytes) -> bool:
        return self._in_base is None or self._in_base(path)

    def _structure(self) -> Iterator[Entry]:
        """Directories, deletions and symlinks of the lower layers, those around before those inside."""
        top = len(self._layers)
        for path, node, base in self._tree.walk():
            if isinstance(node, Folder):
                if path not in self._made:
                    yield from self._folder(path, node)
            elif isinstance(node, Mark) and node.layer != top:
                gone = node.entry.kind is Kind.WHITEOUT and base and self._hides(path)
                if gone or node.entry.kind is Kind.SYMLINK:
                    yield node.entry

    def _files(self, number: int) -> Iterator[Entry]:
        descriptor, diff_id = self._layers[number]
        with open_layer(self._store, descriptor, diff_id, limits=self._limits) as reader:
            for position, entry in enumerate(reader):
                if entry.kind is Kind.FILE:
                    self._source, self._original = reader, entry
                    yield from self._file(entry, file_id(number, position))
        self._source = self._original = None

    def _file(self, entry: Entry, file: FileId) -> Iterator[Entry]:
        """A file under the first of its names that it still has, and its other names as links."""
        every = dict.fromkeys((entry.path, *self._tree.links.get(file, ())))
        names = [name for name in every if self._tree.find(name) == file]
        if not names:
            return
        first, *others = names
        yield entry._replace(path=first)
        for name in others:
            yield entry._replace(path=name, kind=Kind.HARDLINK, size=0, link=first)

    def _links_to_base(self) -> Iterator[Entry]:
        for path, node, _ in self._tree.walk():
            if isinstance(node, Mark) and node.entry.kind is Kind.HARDLINK:
                if self._tree.find(node.entry.link) is not None:
                    raise InvalidImageError(
                        f"{shown(path)} is another name of a file of the base that is replaced.",
                        hint="These layers cannot be merged without their base; keep them as they are.",
                    )
                yield node.entry
