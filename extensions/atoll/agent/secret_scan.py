"""A source that looks for likely secrets in what passes through it, at no second reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from atoll import oci
from atoll.agent.errors import SecretsError
from atoll.agent.policy import HOLDS_KEY, key_in, secret_in
from atoll.kit.likely_secrets import HEADER_SIZE

_NAMED = 5  # in a message to people; the report has them all
_Step = TypeVar("_Step", oci.Entry, oci.Entry | oci.Packed)


class SecretScan:
    """Passes on the entries of another source; `found` gets what looks like a secret, with the reason."""

    def __init__(
        self,
        source: oci.Source,
        found: dict[bytes, str],
        *,
        refuse: bool,
        begun: Callable[[], object] | None = None,
    ) -> None:
        """`refuse`: the entries end in a `SecretsError` where there is any, and no layer is made.

        `begun` is called when the other source has begun to look, before any content is read.
        """
        self._source = source
        self._found = found
        self._refuse = refuse
        self._begun = begun

    def entries(self) -> Iterator[oci.Entry]:
        """As the other source's; raises `SecretsError` at the end."""
        return self._passed(self._source.entries())

    def packed(self, room: oci.Room) -> Iterator[oci.Entry | oci.Packed]:
        """As `entries()`; packed where the other source can do that."""

        def begun(size: int) -> memoryview:
            self._begins()
            return room(size)

        return self._passed(oci.steps(self._source, begun))

    def _passed(self, steps: Iterator[_Step]) -> Iterator[_Step]:
        for step in steps:
            if isinstance(step, oci.Packed):
                self._look_into(step)
            else:
                self._begins()
                if step.kind is oci.Kind.FILE:
                    self._look_at(step.path, b"")
            yield step
        if self._refuse and self._found:
            raise _refusal(self._found)

    def _begins(self) -> None:
        if self._begun is not None:
            self._begun()
            self._begun = None

    def _look_into(self, packed: oci.Packed) -> None:
        for path, start, size in packed.files:
            self._look_at(path, bytes(packed.data[start : start + min(size, HEADER_SIZE)]))

    def _look_at(self, path: bytes, header: bytes) -> None:
        if (reason := secret_in(path, header)) is not None:
            self._found[path] = reason

    def content(self, entry: oci.Entry) -> Iterator[bytes]:
        """As the other source's; a key announces itself in the first bytes."""
        first = True
        for data in self._source.content(entry):
            if first and entry.path not in self._found and key_in(entry.path, data):
                self._found[entry.path] = HOLDS_KEY
            first = False
            yield data

    def left_out(self) -> tuple[oci.LeftOut, ...]:
        """As the other source's."""
        return self._source.left_out()

    def torn(self) -> tuple[bytes, ...]:
        """As the other source's."""
        return self._source.torn()


def _refusal(found: dict[bytes, str]) -> SecretsError:
    names = ", ".join("/" + oci.shown(path) for path in sorted(found)[:_NAMED])
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return SecretsError(
        f"An image that others may use would hold what looks like secrets: {names}{more}.",
        hint="Delete these files or move them into a volume, or save it as a private image.",
    )
