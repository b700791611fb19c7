"""Applying a layer's entries to a directory so that nothing can be written outside it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InvalidImageError, LimitError, UnsafeLayerError
from .reader import LayerReader
from .source import Entry, Kind, Limits, Report, shown

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WORKING_MODE = 0o700  # of directories until all layers are applied
_IMPLICIT_MODE = 0o755  # of directories that no layer names
_RESTORED_XATTRS = (b"user.", b"system.posix_acl_")
_CAPABILITY = b"security.capability"
_HOLE = 64 << 10  # bytes of zeros that are not written; smaller files are not worth the look


class Tree:
    """A directory under construction, entered by descriptors only, never through a symlink.

    Layers are applied in order; `complete` then gives directories their modes and times, which the
    work below them would have changed.
    """

    def __init__(self, root: int, *, limits: Limits, owner: bool, setuid: bool) -> None:
        """`owner` restores uid and gid; `setuid` keeps setuid, setgid and file capabilities."""
        self.entries = 0
        self.size = 0  # logical bytes of files
        self.left_out = Report()
        self._limits = limits
        self._owner = owner
        self._setuid = setuid
        self._open: list[tuple[bytes, int]] = [(b"", os.dup(root))]  # the way down to one place
        self._directories: dict[bytes, Entry | None] = {}  # None: made for what is in it
        self._written: set[bytes] = set()  # by the layer at hand

    def close(self) -> None:
        """Closes what is open."""
        while self._open:
            os.close(self._open.pop()[1])

    def apply(self, layer: LayerReader) -> Iterator[int]:
        """Applies one layer, giving the entries so far; raises what hostile layers deserve."""
        self._written.clear()
        for entry in layer:
            self._count(entry.size)
            if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
                self._hide(entry)
            else:
                with _possible(entry):
                    self._make(entry, layer)
                self._written.add(entry.path)
            yield self.entries

    def complete(self) -> None:
        """Gives every directory its owner, mode and time, what is inside before what is around."""
        for path in sorted(self._directories, reverse=True):
            descriptor = self._descend(path)
            entry = self._directories[path]
            if entry is None:
                os.fchmod(descriptor, _IMPLICIT_MODE)
            else:
                with _possible(entry):
                    self._describe(descriptor, entry)

    def _count(self, size: int) -> None:
        self.entries += 1
        self.size += size
        if self.entries > self._limits.entries:
            raise LimitError(f"The image has more than {self._limits.entries:,} entries.")
        if self.size > self._limits.size:
            raise LimitError(f"The image unpacks to more than {self._limits.size:,} bytes.")

    def _hide(self, entry: Entry) -> None:
        """Applies a whiteout or an opaque mark; where its directory is not there, nothing is."""
        directory, _, name = entry.path.rpartition(b"/")
        try:
            if entry.kind is Kind.OPAQUE:
                self._hide_lower(self._descend(entry.path, make=False), entry.path)
            else:
                parent = self._descend(directory, make=False)
                self._remove_lower(parent, name, entry.path)
        except FileNotFoundError:
            return

    def _make(self, entry: Entry, layer: LayerReader) -> None:
        parent, name = self._parent(entry.path)
        if entry.kind is Kind.DIRECTORY:
            self._make_directory(parent, name, entry)
        elif entry.kind is Kind.FILE:
            self._make_file(parent, name, entry, layer)
        elif entry.kind is Kind.SYMLINK:
            self._make_symlink(parent, name, entry)
        else:
            self._make_hardlink(parent, name, entry)

    def _make_directory(self, parent: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, _WORKING_MODE, dir_fd=parent)
        except FileExistsError:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, _WORKING_MODE, dir_fd=parent)
        self._directories[entry.path] = entry

    def _make_file(self, parent: int, name: bytes, entry: Entry, layer: LayerReader) -> None:
        try:
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._remove(parent, name, entry.path)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            _write(descriptor, layer.content())
            self._describe(descriptor, entry)
        finally:
            os.close(descriptor)

    def _make_symlink(self, parent: int, name: bytes, entry: Entry) -> None:
        if not entry.link or b"\0" in entry.link:
            raise InvalidImageError(f"The symlink {shown(entry.path)} has no valid target.")
        try:
            os.symlink(entry.link, name, dir_fd=parent)
        except FileExistsError:
            self._remove(parent, name, entry.path)
            os.symlink(entry.link, name, dir_fd=parent)
        if self._owner:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _make_hardlink(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.link == entry.path or not entry.link:
            raise InvalidImageError(f"The hard link {shown(entry.path)} names itself.")
        parent = os.dup(parent)  # the way to the target may close it
        try:
            target_parent, target = self._parent(entry.link)
            with suppress(FileNotFoundError):
                if not os.path.samestat(
                    os.stat(target, dir_fd=target_parent, follow_symlinks=False),
                    os.stat(name, dir_fd=parent, follow_symlinks=False),
                ):
                    self._remove(parent, name, entry.path)
                else:
                    return
            os.link(
                target, name, src_dir_fd=target_parent, dst_dir_fd=parent, follow_symlinks=False
            )
        except (FileNotFoundError, PermissionError) as error:
            raise InvalidImageError(
                f"The hard link {shown(entry.path)} names {shown(entry.link)}, which is no file "
                "in the image."
            ) from error
        finally:
            os.close(parent)

    def _describe(self, descriptor: int, entry: Entry) -> None:
        """Gives an open file or directory its owner, attributes, mode and time."""
        mode = entry.mode
        if not self._setuid and entry.kind is Kind.FILE:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        if self._owner:
            os.fchown(descriptor, entry.uid, entry.gid)
        if entry.xattrs:
            self._set_xattrs(descriptor, entry.path, entry.xattrs)
        os.fchmod(descriptor, mode)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _set_xattrs(self, descriptor: int, path: bytes, xattrs: Mapping[bytes, bytes]) -> None:
        for name, value in xattrs.items():
            wanted = name.startswith(_RESTORED_XATTRS) or (self._setuid and name == _CAPABILITY)
            if not wanted:
                self.left_out.add(path, f"its attribute {shown(name)} is not restored")
                continue
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                reason = f"its attribute {shown(name)} cannot be set ({error.strerror})"
                self.left_out.add(path, reason)

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """The directory that holds `path`, open and made where it is missing, and the last name."""
        directory, _, name = path.rpartition(b"/")
        return self._descend(directory), name

    def _descend(self, directory: bytes, *, make: bool = True) -> int:
        """A directory's descriptor, valid until the next call; `make` makes what is missing."""
        here, descriptor = self._open[-1]
        while here and here != directory and not directory.startswith(here + b"/"):
            os.close(self._open.pop()[1])
            here, descriptor = self._open[-1]
        rest = directory[len(here) :].strip(b"/")
        for part in rest.split(b"/") if rest else ():
            here = here + b"/" + part if here else part
            descriptor = self._enter(descriptor, part, here, make=make)
            self._open.append((here, descriptor))
        return descriptor

    def _enter(self, parent: int, name: bytes, path: bytes, *, make: bool) -> int:
        try:
            return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            self._count(0)
            os.mkdir(name, _WORKING_MODE, dir_fd=parent)
            self._directories[path] = None
            return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise UnsafeLayerError(
                f"The layer would write through {shown(path)}, which is a symlink or a file."
            ) from error

    def _remove(self, parent: int, name: bytes, path: bytes) -> None:
        """Removes whatever is there, also what this layer wrote."""
        self._forget(path)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
            return
        child = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        try:
            for inner in _names(child):
                self._remove(child, inner, path + b"/" + inner)
        finally:
            os.close(child)
        os.rmdir(name, dir_fd=parent)

    def _remove_lower(self, parent: int, name: bytes, path: bytes) -> bool:
        """Removes what lower layers have there; whether nothing of this layer had to be kept."""
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return True
        mine = path in self._written
        if not stat.S_ISDIR(status.st_mode):
            if not mine:
                os.unlink(name, dir_fd=parent)
            return not mine
        child = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        try:
            empty = self._hide_lower(child, path)
        finally:
            os.close(child)
        if mine or not empty:
            return False
        self._forget(path)
        os.rmdir(name, dir_fd=parent)
        return True

    def _hide_lower(self, descriptor: int, path: bytes) -> bool:
        """Removes what lower layers have in a directory; whether it is empty then."""
        prefix = path + b"/" if path else b""
        kept = [
            name
            for name in _names(descriptor)
            if not self._remove_lower(descriptor, name, prefix + name)
        ]
        return not kept

    def _forget(self, path: bytes) -> None:
        self._directories.pop(path, None)
        self._written.discard(path)


@contextmanager
def _possible(entry: Entry) -> Iterator[None]:
    """Turns what the system says of impossible names, times and owners into an `InvalidImageError`."""
    try:
        yield
    except OverflowError as error:
        raise InvalidImageError(
            f"The layer gives {shown(entry.path)} a time or an owner that no file can have."
        ) from error
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ):
            raise
        raise InvalidImageError(
            f"The layer's entry {shown(entry.path[:200])} cannot be made here ({error.strerror})."
        ) from error


def _write(descriptor: int, pieces: Iterator[bytes]) -> None:
    """Writes a new file; long runs of zeros become holes, as they mostly were where they came from."""
    size = 0
    for data in pieces:
        size += len(data)
        if len(data) >= _HOLE and data == bytes(len(data)):
            os.lseek(descriptor, size, os.SEEK_SET)
            continue
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    os.ftruncate(descriptor, size)


def _names(descriptor: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(descriptor)]


_DEEP = 200  # descriptors and frames that removing a tree uses at most


def remove_tree(path: Path) -> None:
    """Removes a directory with everything in it, however deep, and read-only directories too.

    Two may remove the same one at once: what the other was faster with counts as removed.
    """
    top = os.open(path, _OPEN_DIRECTORY)
    try:
        while _empty(top, top, 0):
            pass  # what was too deep has moved to the top
    finally:
        os.close(top)
    with suppress(FileNotFoundError):
        path.rmdir()


def _empty(descriptor: int, top: int, depth: int) -> bool:
    """Empties a directory; whether something too deep was moved to `top` instead of removed."""
    os.fchmod(descriptor, _WORKING_MODE)
    moved = False
    with os.scandir(descriptor) as items:
        found = [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
    for name, directory in found:
        with suppress(FileNotFoundError):
            if not directory:
                os.unlink(name, dir_fd=descriptor)
            elif depth >= _DEEP:
                moved = True
                here = f"deep-{os.urandom(8).hex()}"
                os.rename(name, here, src_dir_fd=descriptor, dst_dir_fd=top)
            else:
                child = _open_for_removal(name, descriptor)
                try:
                    moved |= _empty(child, top, depth + 1)
                finally:
                    os.close(child)
                os.rmdir(name, dir_fd=descriptor)
    return moved


def _open_for_removal(name: str, parent: int) -> int:
    try:
        return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, _WORKING_MODE, dir_fd=parent)
        return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
