"""What several layers come to together, over a base that is not looked at: names, without contents."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from .errors import LimitError, UnsafeLayerError
from .source import DEFAULT_LIMITS, Entry, Kind, Limits, shown

_LAYER_SHIFT = 40  # bits for the number of an entry in its layer
_AT_HAND = 64  # directories whose files can be looked up at once; those of all others are packed
_UNPACKED = 64  # times until a directory stays at hand: merging looks at each about twenty times
_NO_FILES = (b"", array("Q"))

FileId = int
"""Which layer a file's content is in, and at which of its entries; names of one file share it."""


def file_id(layer: int, number: int) -> FileId:
    """The id of the file that is the entry `number` of a layer."""
    return layer << _LAYER_SHIFT | number


def layer_of(file: FileId) -> int:
    """The layer whose content a file has."""
    return file >> _LAYER_SHIFT


class Mark(NamedTuple):
    """A symlink, something deleted, or another name of a file in the base; and the layer that says so."""

    layer: int
    entry: Entry


@dataclass(slots=True)
class Folder:
    """A directory; without an entry where layers only have things in it.

    Layers are read directory by directory, so its files are packed while others are at hand: a dict
    of them takes six times as much.
    """

    layer: int
    entry: Entry | None = None
    opaque: bool = False  # what the base has in it is gone
    children: dict[bytes, Node] = field(default_factory=dict)  # all but packed files
    packed: tuple[bytes, array[int]] | None = _NO_FILES  # names between slashes, ids; None: at hand
    unpacked: int = 0  # so many times

    def pack(self) -> None:
        """Puts its files away."""
        files = {name: node for name, node in self.children.items() if isinstance(node, int)}
        if not files:
            self.packed = _NO_FILES
            return
        self.packed = b"/".join(files), array("Q", files.values())
        self.children = {name: n for name, n in self.children.items() if not isinstance(n, int)}

    def unpack(self) -> None:
        """Has its files among its children again."""
        if self.packed is not None:
            names, files = self.packed
            self.children.update(zip(names.split(b"/"), files, strict=False))
            self.packed = None
            self.unpacked += 1


Node = Folder | Mark | FileId


class Layered:
    """Layers applied one after the other, the lowest first.

    A million names need about 30 MB where directories have hundreds of files each, and up to 300 MB
    where they have one: files are mere numbers, told apart when they are read again.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.root = Folder(layer=-1)
        self.links: dict[FileId, list[bytes]] = {}  # further names that a file was given
        self._limits = limits
        self._count = 0
        self._at_hand: OrderedDict[int, Folder] = OrderedDict()  # by `id`; last looked at, last

    def find(self, path: bytes) -> Node | None:
        """What the layers have at `path`; None where they say nothing of it."""
        node: Node = self.root
        for part in path.split(b"/") if path else ():
            if not isinstance(node, Folder):
                return None
            following = self._child(node, part)
            if following is None:
                return None
            node = following
        return node

    def apply(self, layer: int, number: int, entry: Entry) -> None:
        """Applies an entry; raises `UnsafeLayerError` for one below a file, `LimitError`."""
        self._count += 1
        if self._count > self._limits.entries:
            raise LimitError(f"The layers have more than {self._limits.entries:,} entries.")
        if entry.kind is Kind.OPAQUE:
            self._empty(layer, entry)
        elif entry.kind is Kind.WHITEOUT:
            self._delete(layer, entry)
        else:
            self._put(layer, number, entry)

    def walk(self) -> Iterator[tuple[bytes, Node, bool]]:
        """Path, node, and whether the base can be seen there; directories first, by name."""
        yield from self._walk(b"", self.root, True)

    def _walk(self, path: bytes, folder: Folder, base: bool) -> Iterator[tuple[bytes, Node, bool]]:
        for name, node in sorted(self._children(folder).items(), key=itemgetter(0)):
            full = path + b"/" + name if path else name
            yield full, node, base
            if isinstance(node, Folder):
                yield from self._walk(full, node, base and not node.opaque)

    def _child(self, folder: Folder, name: bytes) -> Node | None:
        """One of them; for a directory on the way to another no files are unpacked."""
        found = folder.children.get(name)
        return found if found is not None else self._children(folder).get(name)

    def _children(self, folder: Folder) -> dict[bytes, Node]:
        """All that is in a directory, until others are looked at."""
        if folder.packed is None:
            if id(folder) in self._at_hand:
                self._at_hand.move_to_end(id(folder))
            return folder.children
        folder.unpack()
        if folder.unpacked < _UNPACKED:
            self._at_hand[id(folder)] = folder
            if len(self._at_hand) > _AT_HAND:
                _, oldest = self._at_hand.popitem(last=False)
                oldest.pack()
        return folder.children

    def _put(self, layer: int, number: int, entry: Entry) -> None:
        folder, name = self._parent(layer, entry.path)
        before = self._child(folder, name)
        node: Node
        if entry.kind is Kind.DIRECTORY:
            if isinstance(before, Folder):
                before.layer, before.entry = layer, entry
                return
            node = Folder(layer, entry, opaque=before is not None)
        elif entry.kind is Kind.FILE:
            node = file_id(layer, number)
        elif entry.kind is Kind.HARDLINK:
            node = self._other_name(layer, entry)
        else:
            node = Mark(layer, entry)
        self._children(folder)[name] = node

    def _other_name(self, layer: int, entry: Entry) -> Mark | FileId:
        target = self.find(entry.link)
        if isinstance(target, int):
            self.links.setdefault(target, []).append(entry.path)
            return target
        if isinstance(target, Mark) and target.entry.kind in (Kind.SYMLINK, Kind.HARDLINK):
            return Mark(layer, target.entry._replace(path=entry.path))
        if target is not None:
            raise UnsafeLayerError(
                f"The hard link {shown(entry.path)} names {shown(entry.link)}, which is no file."
            )
        return Mark(layer, entry)

    def _delete(self, layer: int, entry: Entry) -> None:
        parent = self.find(entry.path.rpartition(b"/")[0])
        if parent is not None and not isinstance(parent, Folder):
            return  # its directory is gone already
        folder, name = self._parent(layer, entry.path)
        before = self._child(folder, name)
        if isinstance(before, Folder):
            self._hide(before, layer)
            if self._children(before) or before.layer == layer:
                before.opaque = True
                return
        elif before is not None and _written_by(before) == layer:
            return  # deletions are of what lower layers have
        self._children(folder)[name] = Mark(layer, entry)

    def _empty(self, layer: int, entry: Entry) -> None:
        before = self.find(entry.path)
        if before is None:
            folder, name = self._parent(layer, entry.path)
            self._children(folder)[name] = Folder(layer, opaque=True)
        elif isinstance(before, Folder):
            self._hide(before, layer)
            before.opaque = True

    def _hide(self, folder: Folder, layer: int) -> None:
        """Removes from a directory what lower layers than `layer` have in it."""
        for name, node in list(self._children(folder).items()):
            if isinstance(node, Folder):
                self._hide(node, layer)
                if self._children(node) or node.layer == layer:
                    node.opaque = True
                    continue
            elif _written_by(node) == layer:
                continue
            del self._children(folder)[name]

    def _parent(self, layer: int, path: bytes) -> tuple[Folder, bytes]:
        *above, name = path.split(b"/")
        folder = self.root
        for part in above:
            node = self._child(folder, part)
            if node is None:
                node = folder.children[part] = Folder(layer)
            elif isinstance(node, Mark) and node.entry.kind is Kind.WHITEOUT:
                node = folder.children[part] = Folder(layer, opaque=True)
            elif not isinstance(node, Folder):
                raise UnsafeLayerError(
                    f"The layer would write {shown(path)} through a symlink or a file."
                )
            folder = node
        return folder, name


def _written_by(node: Node) -> int:
    return layer_of(node) if isinstance(node, int) else node.layer
