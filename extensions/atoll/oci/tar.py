"""The tar format of layers: PAX headers written fast and always the same, and read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from .errors import InvalidImageError, LimitError, UnsafeLayerError
from .source import NO_XATTRS, OPAQUE_NAME, WHITEOUT_PREFIX, Entry, Kind, shown

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two empty blocks end an archive (POSIX pax, ustar interchange format)."""
ZEROS = bytes(BLOCK)

_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777  # 8 GiB - 1
_NAME = 100
_SECOND = 1_000_000_000
_XATTR = b"SCHILY.xattr."
_LINK_TYPES = {Kind.SYMLINK: b"2", Kind.HARDLINK: b"1"}
_TAIL = (
    b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(155 + 12)
)  # magic, no owner names, device 0:0, no prefix
_TAIL_SUM = sum(_TAIL)
_PAX_NAME = b"././@PaxHeader"
MAX_PAX = 1 << 20
"""Bytes of one extended header; Linux allows 64 KiB of extended attributes and 4 KiB of path."""


def _sum(data: bytes) -> int:
    """The sum of at most 250 bytes: the lower half of Adler-32 is 1 + the sum, modulo 65,521 (RFC 1950).

    `sum` adds Python integers: with it a header took 15 µs, with this 10 µs.
    """
    return (adler32(data) & 0xFFFF) - 1


def _block(
    name: bytes, kind: bytes, link: bytes, *, mode: int, uid: int, gid: int, size: int, mtime: int
) -> bytes:
    head = name.ljust(_NAME, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        mode,
        uid,
        gid,
        size,
        mtime,
    )
    rest = kind + link.ljust(_NAME, b"\0")
    checksum = _sum(head) + _sum(rest) + _TAIL_SUM + 256  # its own field counts as eight spaces
    return b"%b%06o\0 %b%b" % (head, checksum, rest, _TAIL)


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, where the length counts its own digits too."""
    size = len(key) + len(value) + 3
    length = size + len(str(size))
    length = size + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _seconds(mtime_ns: int) -> bytes:
    sign = b"-" if mtime_ns < 0 else b""
    seconds, fraction = divmod(abs(mtime_ns), _SECOND)
    return b"%b%d.%09d" % (sign, seconds, fraction) if fraction else b"%b%d" % (sign, seconds)


def name_in_layer(entry: Entry) -> bytes:
    """The name under which a tar layer carries an entry: whiteouts are empty files named `.wh.…`."""
    if entry.kind is Kind.DIRECTORY:
        return entry.path + b"/"
    if entry.kind is Kind.WHITEOUT:
        parent, slash, name = entry.path.rpartition(b"/")
        return parent + slash + WHITEOUT_PREFIX + name
    if entry.kind is Kind.OPAQUE:
        return entry.path + b"/" + OPAQUE_NAME if entry.path else OPAQUE_NAME
    return entry.path


def header(entry: Entry) -> bytes:
    """The header blocks of an entry; its content follows, padded to whole blocks."""
    name = name_in_layer(entry)
    link = entry.link
    uid, gid, size = entry.uid, entry.gid, entry.size
    seconds, fraction = divmod(entry.mtime_ns, _SECOND)
    pax = b""
    if len(name) > _NAME or not name.isascii():
        pax += _record(b"path", name)
        name = name[:_NAME]
    if len(link) > _NAME or not link.isascii():
        pax += _record(b"linkpath", link)
        link = link[:_NAME]
    if size > _OCTAL_11:
        pax += _record(b"size", b"%d" % size)
        size = 0
    if uid > _OCTAL_7:
        pax += _record(b"uid", b"%d" % uid)
        uid = 0
    if gid > _OCTAL_7:
        pax += _record(b"gid", b"%d" % gid)
        gid = 0
    if fraction or not 0 <= seconds <= _OCTAL_11:
        pax += _record(b"mtime", _seconds(entry.mtime_ns))
        seconds = min(max(seconds, 0), _OCTAL_11)
    for key in sorted(entry.xattrs):
        pax += _record(_XATTR + key, entry.xattrs[key])
    kind = b"5" if entry.kind is Kind.DIRECTORY else _LINK_TYPES.get(entry.kind, b"0")
    block = _block(name, kind, link, mode=entry.mode, uid=uid, gid=gid, size=size, mtime=seconds)
    if not pax:
        return block
    return _extended(len(pax)) + pax + padding(len(pax)) + block


@lru_cache(maxsize=1024)
def _extended(size: int) -> bytes:
    """The header of an extended header of `size` bytes: nearly all have one of a few sizes."""
    return _block(_PAX_NAME, b"x", b"", mode=0o644, uid=0, gid=0, size=size, mtime=0)


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes up to a whole block."""
    return ZEROS[: -size % BLOCK]


class Header(NamedTuple):
    """A header block as it was read."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    kind: bytes
    link: bytes


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int:
    """An octal field, or GNU's base-256 (first bit set), as star and GNU tar write large numbers."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) - (0x80 << 8 * (len(field) - 1))
        if field[0] == 0xFF:
            value = int.from_bytes(field, "big", signed=True)
        return value
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise InvalidImageError("A layer's tar header holds a number that is none.")
    return int(digits, 8)


def parse_block(block: bytes) -> Header | None:
    """A header block, None for an empty one; raises `InvalidImageError` on a wrong checksum."""
    if block == ZEROS:
        return None
    total = sum(block) - sum(block[148:156]) + 256
    if _number(block[148:156]) != total:
        raise InvalidImageError("A layer's tar header has a wrong checksum: the layer is damaged.")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = _text(block[345:500]) + b"/" + name
    return Header(
        name,
        _number(block[100:108]) & 0o7777,
        _number(block[108:116]),
        _number(block[116:124]),
        _number(block[124:136]),
        _number(block[136:148]),
        block[156:157],
        _text(block[157:257]),
    )


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """The records of an extended header; raises `InvalidImageError` on anything malformed."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        length = data[at:space] if space > 0 else b""
        end = at + int(length) if length.isdigit() else -1
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not space < end - 1 < len(data) or data[end - 1] != 0x0A or not equals or not key:
            raise InvalidImageError("A layer's extended tar header is malformed.")
        records[key] = value
        at = end
    return records


def _decimal(value: bytes, what: str) -> int:
    if not value.isdigit() or len(value) > 19:
        raise InvalidImageError(f"A layer's extended tar header gives no valid {what}.")
    return int(value)


def _nanoseconds(value: bytes) -> int:
    sign = -1 if value.startswith(b"-") else 1
    seconds, _, fraction = value.removeprefix(b"-").partition(b".")
    if (fraction and not fraction.isdigit()) or len(value) > 64:
        raise InvalidImageError("A layer's extended tar header gives no valid mtime.")
    return sign * (_decimal(seconds, "mtime") * _SECOND + int(fraction[:9].ljust(9, b"0") or b"0"))


def _kind(block: Header, path: bytes) -> Kind:
    if block.kind in (b"0", b"\0", b"7"):
        return Kind.FILE
    for kind, code in ((Kind.HARDLINK, b"1"), (Kind.SYMLINK, b"2"), (Kind.DIRECTORY, b"5")):
        if block.kind == code:
            return kind
    if block.kind in (b"3", b"4", b"6"):
        raise UnsafeLayerError(f"The layer would create a device or a pipe at {shown(path)}.")
    raise InvalidImageError(
        f"The layer holds an entry of a type that images do not have at {shown(path)}."
    )


def clean_path(path: bytes, depth: int) -> bytes:
    """A path with `.` and doubled `/` removed; raises `UnsafeLayerError` for one that leads outside."""
    if path.startswith(b"/"):
        raise UnsafeLayerError(f"The layer names an absolute path: {shown(path)}.")
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in path:
        raise UnsafeLayerError(f"The layer names a path that leads outside: {shown(path)}.")
    if len(parts) > depth:
        raise LimitError(f"The layer holds a path of {len(parts)} parts; {depth} are allowed.")
    return b"/".join(parts)


def entry_of(block: Header, pax: Mapping[bytes, bytes], depth: int) -> Entry:
    """The entry that a header block and its extended header describe, whiteouts recognised."""
    if any(key.startswith(b"GNU.sparse") for key in pax):
        raise InvalidImageError(
            "The layer holds a GNU sparse file, which this version cannot read."
        )
    path = clean_path(pax.get(b"path", block.name), depth)
    kind = _kind(block, path)
    size = _decimal(pax[b"size"], "size") if b"size" in pax else block.size
    if size < 0:
        raise InvalidImageError(f"The layer gives a negative size at {shown(path)}.")
    if kind is not Kind.FILE:
        size = 0  # some writers give a hard link the size of its target; no content follows
    link = b""
    if kind is Kind.HARDLINK:
        link = clean_path(pax.get(b"linkpath", block.link), depth)
    elif kind is Kind.SYMLINK:
        link = pax.get(b"linkpath", block.link)
    parent, slash, name = path.rpartition(b"/")
    if name == OPAQUE_NAME:
        path, kind = parent, Kind.OPAQUE
    elif name.startswith(WHITEOUT_PREFIX):
        path, kind = parent + slash + name[len(WHITEOUT_PREFIX) :], Kind.WHITEOUT
        if name[len(WHITEOUT_PREFIX) :] in (b"", b".", b".."):
            raise UnsafeLayerError(f"The layer holds a whiteout of nothing in {shown(parent)}.")
    elif not path and kind is not Kind.DIRECTORY:
        raise InvalidImageError("The layer holds an entry without a name.")
    return Entry(
        path,
        kind,
        block.mode,
        _decimal(pax[b"uid"], "uid") if b"uid" in pax else block.uid,
        _decimal(pax[b"gid"], "gid") if b"gid" in pax else block.gid,
        size,
        _nanoseconds(pax[b"mtime"]) if b"mtime" in pax else block.mtime * _SECOND,
        link,
        _xattrs(pax),
    )


def _xattrs(pax: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    found = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
    return found or NO_XATTRS
