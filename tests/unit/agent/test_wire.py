"""Messages of protocol buffers: what is written can be read, and nothing malformed is believed."""

from __future__ import annotations

import pytest
from atoll.agent.runtimes.wire import Message, WireError, encode, encode_map
from hypothesis import given
from hypothesis import strategies as st


def test_the_bytes_are_those_of_the_protocol() -> None:
    # The examples of the encoding's own documentation: field 1 = 150, field 2 = "testing".
    assert encode((1, 150)) == bytes.fromhex("089601")
    assert encode((2, "testing")) == bytes.fromhex("120774657374696e67")


@given(st.lists(st.tuples(st.integers(1, 100), st.one_of(st.binary(), st.integers(0, 2**64 - 1)))))
def test_what_is_written_is_read(fields: list[tuple[int, bytes | int]]) -> None:
    message = Message(encode(*fields))
    for number, value in dict(fields).items():
        if isinstance(value, int):
            assert message.number(number) == value
        elif all(isinstance(other, bytes) for at, other in fields if at == number):
            assert message.data(number) == value


@given(st.dictionaries(st.text(), st.text()))
def test_maps_and_messages_in_messages_are_read(labels: dict[str, str]) -> None:
    message = Message(encode((1, encode((3, encode_map(2, labels))))))
    assert message.message(1).message(3).mapping(2) == labels
    assert len(message.message(1).message(3).messages(2)) == len(labels)


def test_absent_fields_are_zero() -> None:
    message = Message(b"")
    assert (message.number(1), message.text(2), message.data(3), message.texts(4)) == (
        0,
        "",
        b"",
        [],
    )
    assert message.message(5).mapping(1) == {}


def test_fields_of_other_types_are_passed_over() -> None:
    fixed = bytes([1 << 3 | 1]) + bytes(8) + bytes([2 << 3 | 5]) + bytes(4)
    assert Message(fixed + encode((3, "x"))).text(3) == "x"


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x08\xff", b"\x12\x05abc", b"\x09abc", b"\x0b", b"\x08" + b"\xff" * 11],
    ids=["no value", "half a number", "cut off", "short fixed", "a group", "too long a number"],
)
def test_what_is_cut_off_or_unknown_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        Message(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_a_wire_error(data: bytes) -> None:
    try:
        Message(data)
    except WireError:
        return


def test_a_field_of_the_wrong_kind_is_an_error() -> None:
    message = Message(encode((1, 5), (2, "x")))
    with pytest.raises(WireError):
        message.text(1)
    with pytest.raises(WireError):
        message.number(2)
