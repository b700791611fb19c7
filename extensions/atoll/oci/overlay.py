"""An overlay's upper directory as the source of a layer: what a container wrote, and what it deleted."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from .attributes import Attributes, IdMaps, names_of
from .directory import WalkedSource, opened_directory
from .errors import SourceError, must_be_readable
from .index import Index
from .lowers import Lowers, attribute, marks, redirected
from .partial import PartialWalk
from .source import DEFAULT_LIMITS, NO_XATTRS, Entry, Kind, Limits, shown
from .walk import Exclude, Listing, Walk
from .watch import Watch


class OverlaySource(WalkedSource):
    """Gives the entries of an overlay's upper directory once; used by one thread.

    Names are opened in their own directory's descriptor, part by part and never through a symlink:
    what `openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS would check over a whole path cannot
    go wrong in one part.

    Taken together with the lower directories' layers, the layer shows what the overlay's mount shows.
    What cannot be in a layer (pipes, sockets, devices) hides what the lower directories have in its
    place. Mounts with redirect_dir or metacopy are refused: containerd, docker and CRI-O make none,
    and following them would read what the upper directory does not hold.
    """

    def __init__(
        self,
        upper: Path,
        lowers: Sequence[Path],
        *,
        since: Index | None = None,
        opaque: frozenset[bytes] = frozenset(),
        exclude: Exclude | None = None,
        ids: IdMaps | None = None,
        setuid: bool = True,
        userxattr: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        watch: Watch | None = None,
        only: Collection[bytes] | None = None,
        indexed: bool = True,
    ) -> None:
        """`lowers` from the uppermost down, as in the mount's option.

        `since` and `opaque` are `index()` and `opaque` of the source of the image's last layer, for
        what changed since. `ids` are the maps of the container's user namespace, where it has one.
        `setuid` False drops setuid, setgid and file capabilities. `userxattr` as the mount has it.
        `watch` notices from here on where something happens; with `only`, what it noticed, nothing
        else is looked at: for the last pass, since a part is no index. Without `indexed` there is no
        index either, and memory does not grow with the entries.
        """
        walk: Walk
        if only is not None and since is not None:
            walk = PartialWalk(
                upper, only, since=since, exclude=exclude, limits=limits, whiteouts=True
            )
        else:
            walk = Walk(
                upper,
                since=since,
                exclude=exclude,
                limits=limits,
                whiteouts=True,
                watch=watch,
                keep=indexed,
            )
        super().__init__(walk, Attributes(walk.left_out, ids=ids, setuid=setuid))
        self._lowers = Lowers(lowers, userxattr=userxattr)
        self._marks = marks(userxattr=userxattr)
        self._opaque = opaque
        self._marked: set[bytes] = set()  # given as opaque in this layer
        self._holed: set[bytes] = set()  # directories whose deletions may be empty files

    @property
    def opaque(self) -> frozenset[bytes]:
        """The directories that hide what is below them, in this layer or already before."""
        kept = {path for path in self._opaque if path in self._walk.records}
        return frozenset(kept | self._marked)

    def _before(self, listing: Listing) -> Iterator[Entry]:
        yield from super()._before(listing)
        for name in listing.refused:
            path = listing.full(name)
            if self._lowers.find(path) is not None:
                yield Entry(path, Kind.WHITEOUT)

    def _changed(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        if stat.S_ISCHR(status.st_mode):  # the walk lets no other devices through
            yield Entry(listing.full(name), Kind.WHITEOUT)
        else:
            yield from super()._changed(listing, name, status)

    def _directory(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        path = listing.full(name)
        xattrs = NO_XATTRS  # the walk reports a directory that cannot be entered
        mark = None
        try:
            with opened_directory(name, listing.descriptor) as descriptor:
                names = names_of(descriptor)
                if self._marks.redirect in names:
                    raise redirected(path)
                if self._marks.opaque in names:
                    mark = attribute(descriptor, self._marks.opaque)
                xattrs = self._attributes.xattrs(descriptor, names, path)
        except OSError as error:
            must_be_readable(path, error)
        yield self._entry(path, Kind.DIRECTORY, status, xattrs=xattrs)
        if mark == b"y" and path not in self._opaque:
            self._marked.add(path)
            self._walk.renew(path)
            yield Entry(path, Kind.OPAQUE)
        elif mark == b"x":
            self._holed.add(path)

    def _opened(
        self,
        listing: Listing,
        name: bytes,
        descriptor: int,
        status: os.stat_result,
        names: Sequence[str],
    ) -> Iterator[Entry]:
        path = listing.full(name)
        if self._marks.metacopy in names:
            raise SourceError(
                f"The file {shown(path)} is in the overlay without its content (metacopy).",
                hint="Mount the containers' overlays with metacopy=off.",
            )
        if self._marks.nlink in names:
            self._walk.left_out.add(
                path, "its other names in the image keep their content (the mount has index=on)"
            )
        if self._marks.whiteout in names and listing.path in self._holed:
            yield Entry(path, Kind.WHITEOUT)
        else:
            yield from super()._opened(listing, name, descriptor, status, names)
