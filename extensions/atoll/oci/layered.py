"""What several layers come to together, over a base that is not looked at: names, without contents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .errors import LimitError, UnsafeLayerError
from .source import DEFAULT_LIMITS, Entry, Kind, Limits, shown

_LAYER_SHIFT = 40  # bits for the number of an entry in its layer

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
    """A directory; without an entry where layers only have things in it."""

    layer: int
    entry: Entry | None = None
    opaque: bool = False  # what the base has in it is gone
    children: dict[bytes, Node] = field(default_factory=dict)


Node = Folder | Mark | FileId


class Layered:
    """Layers applied one after the other, the lowest first.

    A million names need about 200 MB: files are mere numbers, told apart when they are read again.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.root = Folder(layer=-1)
        self.links: dict[FileId, list[bytes]] = {}  # further names that a file was given
        self._limits = limits
        self._count = 0

    def find(self, path: bytes) -> Node | None:
        """What the layers have at `path`; None where they say nothing of it."""
        node: Node = self.root
        for part in path.split(b"/") if path else ():
            if not isinstance(node, Folder):
                return None
            following = node.children.get(part)
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
        yield from _walk(b"", self.root, True)

    def _put(self, layer: int, number: int, entry: Entry) -> None:
        folder, name = self._parent(layer, entry.path)
        before = folder.children.get(name)
        if entry.kind is Kind.DIRECTORY:
            if isinstance(before, Folder):
                before.layer, before.entry = layer, entry
            else:
                folder.children[name] = Folder(layer, entry, opaque=before is not None)
        elif entry.kind is Kind.FILE:
            folder.children[name] = file_id(layer, number)
        elif entry.kind is Kind.HARDLINK:
            target = self.find(entry.link)
            if isinstance(target, int):
                self.links.setdefault(target, []).append(entry.path)
                folder.children[name] = target
            else:
                folder.children[name] = self._other_name(layer, entry, target)
        else:
            folder.children[name] = Mark(layer, entry)

    def _other_name(self, layer: int, entry: Entry, target: Node | None) -> Mark:
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
        before = folder.children.get(name)
        if isinstance(before, Folder):
            _hide(before, layer)
            if before.children or before.layer == layer:
                before.opaque = True
                return
        elif before is not None and _written_by(before) == layer:
            return  # deletions are of what lower layers have
        folder.children[name] = Mark(layer, entry)

    def _empty(self, layer: int, entry: Entry) -> None:
        before = self.find(entry.path)
        if before is None:
            folder, name = self._parent(layer, entry.path)
            folder.children[name] = Folder(layer, opaque=True)
        elif isinstance(before, Folder):
            _hide(before, layer)
            before.opaque = True

    def _parent(self, layer: int, path: bytes) -> tuple[Folder, bytes]:
        *above, name = path.split(b"/")
        folder = self.root
        for part in above:
            node = folder.children.get(part)
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


def _hide(folder: Folder, layer: int) -> None:
    """Removes from a directory what lower layers than `layer` have in it."""
    for name, node in list(folder.children.items()):
        if isinstance(node, Folder):
            _hide(node, layer)
            if node.children or node.layer == layer:
                node.opaque = True
                continue
        elif _written_by(node) == layer:
            continue
        del folder.children[name]


def _walk(path: bytes, folder: Folder, base: bool) -> Iterator[tuple[bytes, Node, bool]]:
    for name in sorted(folder.children):
        node = folder.children[name]
        full = path + b"/" + name if path else name
        yield full, node, base
        if isinstance(node, Folder):
            yield from _walk(full, node, base and not node.opaque)
