"""Which owner, mode and extended attributes an entry gets: the file's own, cleaned and mapped back."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .source import NO_XATTRS, Report

KEPT_XATTRS = ("user.", "security.capability", "system.posix_acl_")
"""Others are the kernel's or the administrator's own: trusted.*, security.ima, security.selinux."""
NOBODY = 65534
"""What the kernel shows for an owner that a user namespace does not have."""

_CAPABILITY = "security.capability"
_ACL = "system.posix_acl_"
_OVERLAY_OF_USERS = "user.overlay."
_CAPABILITY_2, _CAPABILITY_3 = 0x02000000, 0x03000000  # <linux/capability.h>, VFS_CAP_REVISION_*
_REVISION_MASK = 0xFF000000
_ROOT_ID = slice(20, 24)  # revision 3: revision 2 and the host's id of the namespace's root
_ACL_HEADER = 4  # <linux/posix_acl_xattr.h>: a version, then (tag, permissions, id) each
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 0x02, 0x08

IdMap = Sequence[tuple[int, int, int]]
"""(first id in the container, first id on the host, how many), as in /proc/PID/uid_map."""


@dataclass(frozen=True, slots=True)
class IdMaps:
    """The maps of a container's user namespace."""

    uids: IdMap
    gids: IdMap


def inside(ids: IdMap, host: int) -> int | None:
    """The container's id for the host's id `host`; None where it has none."""
    for first, outside, count in ids:
        if outside <= host < outside + count:
            return first + host - outside
    return None


class Attributes:
    """The rules of one source; what they drop goes into its report."""

    def __init__(
        self,
        report: Report,
        *,
        owner: tuple[int, int] | None = None,
        ids: IdMaps | None = None,
        setuid: bool = True,
    ) -> None:
        """`owner` is everybody's (uid, gid); `setuid` keeps setuid, setgid and file capabilities."""
        self.fixed_owner = owner
        self.ids = ids
        self._report = report
        self._setuid = setuid

    def owner(self, path: bytes, status: os.stat_result) -> tuple[int, int]:
        """The (uid, gid) of an entry."""
        if self.fixed_owner is not None:
            return self.fixed_owner
        if self.ids is None:
            return status.st_uid, status.st_gid
        uid, gid = (
            inside(self.ids.uids, status.st_uid),
            inside(self.ids.gids, status.st_gid),
        )
        if uid is None or gid is None:
            self._report.add(path, "its owner is nobody in the container and is saved so")
        return NOBODY if uid is None else uid, NOBODY if gid is None else gid

    def mode(self, path: bytes, status: os.stat_result) -> int:
        """The permission bits of an entry, with setuid and setgid where they are kept."""
        mode = stat.S_IMODE(status.st_mode)
        if self._setuid or not mode & (stat.S_ISUID | stat.S_ISGID):
            return mode
        if not stat.S_ISREG(status.st_mode):
            return mode  # a directory's setgid bit gives nobody anything
        self._report.add(path, "its setuid and setgid bits are not saved")
        return mode & ~(stat.S_ISUID | stat.S_ISGID)

    def xattrs(self, descriptor: int, names: Iterable[str], path: bytes) -> Mapping[bytes, bytes]:
        """The attributes that are kept, of the open file's `names`."""
        found: dict[bytes, bytes] = {}
        for name in names:
            if not name.startswith(KEPT_XATTRS) or name.startswith(_OVERLAY_OF_USERS):
                continue
            if "=" in name:  # the tar format ends the name there
                self._report.add(path, f"its attribute {name!r} cannot be saved")
                continue
            try:
                value = os.getxattr(descriptor, name)
            except OSError as error:
                if error.errno != errno.ENODATA:  # removed since it was listed
                    raise
                continue
            kept = self._kept(name, value, path)
            if kept is not None:
                found[os.fsencode(name)] = kept
        return found or NO_XATTRS

    def _kept(self, name: str, value: bytes, path: bytes) -> bytes | None:
        if name == _CAPABILITY:
            return self._capability(value, path)
        if name.startswith(_ACL) and self.ids is not None:
            return self._acl(value, self.ids, path)
        return value

    def _capability(self, value: bytes, path: bytes) -> bytes | None:
        if not self._setuid:
            self._report.add(path, "its file capabilities are not saved")
            return None
        revision = int.from_bytes(value[:4], "little")
        if self.ids is None or revision & _REVISION_MASK != _CAPABILITY_3:
            return value
        root = inside(self.ids.uids, int.from_bytes(value[_ROOT_ID], "little"))
        if root is None:
            self._report.add(path, "its file capabilities belong to another user namespace")
            return None
        if root:
            return value[: _ROOT_ID.start] + root.to_bytes(4, "little")
        plain = revision & ~_REVISION_MASK | _CAPABILITY_2
        return plain.to_bytes(4, "little") + value[4 : _ROOT_ID.start]

    def _acl(self, value: bytes, ids: IdMaps, path: bytes) -> bytes:
        """A POSIX access list with the container's ids; an entry of nobody there is dropped."""
        parts = [value[:_ACL_HEADER]]
        for tag, permissions, who in _ACL_ENTRY.iter_unpack(value[_ACL_HEADER:]):
            known: int | None = who
            if tag in (_ACL_USER, _ACL_GROUP):
                known = inside(ids.uids if tag == _ACL_USER else ids.gids, who)
            if known is None:
                self._report.add(path, "its access list names somebody whom the container lacks")
                continue
            parts.append(_ACL_ENTRY.pack(tag, permissions, known))
        return b"".join(parts)


def names_of(descriptor: int) -> list[str]:
    """The names of an open file's attributes; none where the file system has no attributes."""
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA):
            raise
        return []
