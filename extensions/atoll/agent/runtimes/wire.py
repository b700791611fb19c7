"""Protocol buffers as far as the few calls to containerd need them: fields by number, no schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

Value = int | str | bytes
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


class WireError(ValueError):
    """Bytes that are no message."""


def encode(*fields: tuple[int, Value]) -> bytes:
    """A message of these (number, value) pairs; a message in a message is its own encoding."""
    return b"".join(_field(number, value) for number, value in fields)


def encode_map(number: int, values: Mapping[str, str]) -> bytes:
    """A `map<string, string>` field, to be appended to a message."""
    return b"".join(_field(number, encode((1, key), (2, text))) for key, text in values.items())


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value & (1 << 64) - 1)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _LENGTH) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


class Message:
    """A decoded message. A field that is absent has its type's zero value, as in proto3."""

    def __init__(self, data: bytes) -> None:
        """Raises `WireError`."""
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _decode(data):
            self._fields.setdefault(number, []).append(value)

    def number(self, field: int) -> int:
        """An integer field, unsigned."""
        value = self._fields.get(field, [0])[-1]
        if not isinstance(value, int):
            raise WireError(f"field {field} is no number")
        return value

    def data(self, field: int) -> bytes:
        """A bytes field."""
        return self._every(field)[-1] if field in self._fields else b""

    def text(self, field: int) -> str:
        """A string field."""
        return self.data(field).decode("utf-8", "replace")

    def texts(self, field: int) -> list[str]:
        """A repeated string field."""
        return [value.decode("utf-8", "replace") for value in self._every(field)]

    def message(self, field: int) -> Message:
        """A message field; an empty message where it is absent."""
        return Message(self.data(field))

    def messages(self, field: int) -> list[Message]:
        """A repeated message field."""
        return [Message(value) for value in self._every(field)]

    def mapping(self, field: int) -> dict[str, str]:
        """A `map<string, string>` field."""
        return {entry.text(1): entry.text(2) for entry in self.messages(field)}

    def moment(self, field: int) -> datetime:
        """A `google.protobuf.Timestamp` field, to the second."""
        return datetime.fromtimestamp(self.message(field).number(1), UTC)

    def _every(self, field: int) -> list[bytes]:
        found: list[bytes] = []
        for value in self._fields.get(field, ()):
            if not isinstance(value, bytes):
                raise WireError(f"field {field} is a number")
            found.append(value)
        return found


def _decode(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _LENGTH:
            size, at = _read_varint(data, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise WireError(f"field {number} has the unknown wire type {kind}")
        if at + size > len(data):
            raise WireError(f"field {number} is cut off")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError("a number has more than 64 bits")
