"""No spelling of an address reaches anything but plain names under api/v1."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from atoll.kit.errors import InvalidError
from atoll.server.addresses import checked_path, checked_query
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("me", "me"),
        ("servers/ada/-", "servers/ada/-"),
        ("datasets/ada:flights/preview", "datasets/ada:flights/preview"),
        ("datasets/ada%3Aflights", "datasets/ada:flights"),
        ("servers/j%C3%BCrgen@example.org/gpu", "servers/j%C3%BCrgen@example.org/gpu"),
        # groups are called as the login system calls them
        ("checkpoints/c-1/grants/group%3Asea%2Flab", "checkpoints/c-1/grants/group:sea%2Flab"),
        (
            "checkpoints/c-1/grants/group:%2fa%20b%2F%c3%b6",
            "checkpoints/c-1/grants/group:%2Fa%20b%2F%C3%B6",
        ),
    ],
)
def test_names_pass_encoded_one_way_only(raw: str, path: str) -> None:
    assert checked_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        "", "/", "me/", "//evil/me", "..", "../me", "me/..", "me/../../hub", "me/./me",
        "%2e%2e/me", "..%2f..%2fhub", "me%2F..", "..%5c..", "..\\..", "%252e%252e/me",
        "me%3Fadmin=1", "me%23", "me%00", "me%0d%0aX-Evil:1", "me%0a", "%ff", "http:%2f%2fevil",
        "http://evil/me", "me\x7f", "%2fme", "me%2f", "me%2F%2fme", "%2F%2Fevil%2Fme", "me%2f.%2fme",
        "checkpoints/c-1/grants/group:%2f..%2f..%2f..%2fjobs", "grants/group:x%2f%2e%2e%2f%2E%2E%2fjobs",
        "grants/group:x%252f..%252fjobs", "grants/group:x%2f..", "grants/group:x%5c..%5c..%5cjobs",
        "grants/group:%c0%af..%c0%afjobs", "grants/group:x%2f%00",
    ],
)  # fmt: skip
def test_tricks_are_refused(raw: str) -> None:
    with pytest.raises(InvalidError):
        checked_path(raw)


@given(st.text(st.sampled_from("ab.:/%25efEF0\\@?#\n~") | st.characters(), max_size=30))
def test_what_passes_stays_below_the_api(raw: str) -> None:
    try:
        path = checked_path(raw)
    except InvalidError:
        return
    address = urlsplit(f"http://service/api/v1/{path}")
    assert address.netloc == "service"
    assert not address.query
    # whoever decodes it once more, or tidies it up, finds what is there
    for read in (address.path, unquote(address.path), unquote(unquote(address.path))):
        assert posixpath.normpath(read) == read
        assert read.startswith("/api/v1/")


def test_the_servers_own_secrets_leave_the_query() -> None:
    assert (
        checked_query("user=ada&_xsrf=abc&token=secret&wait=5&1732440000000") == "user=ada&wait=5"
    )


def test_a_query_cannot_end_the_line() -> None:
    assert "\n" not in checked_query("note=a%0d%0aX-Evil:%201")


def test_a_query_of_thousands_of_fields_is_refused() -> None:
    with pytest.raises(InvalidError):
        checked_query("&".join(f"a{i}=1" for i in range(1000)))
