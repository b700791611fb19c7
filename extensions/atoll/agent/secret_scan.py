"""A source that looks for likely secrets in what passes through it, at no second reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from atoll import oci
from atoll.agent.errors import SecretsError
from atoll.agent.policy import HOLDS_KEY, secret_in
from atoll.kit.likely_secrets import holds_key

_NAMED = 5  # in a message to people; the report has them all


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
        for entry in self._source.entries():
            if self._begun is not None:
                self._begun()
                self._begun = None
            if entry.kind is oci.Kind.FILE and (reason := secret_in(entry.path, b"")) is not None:
                self._found[entry.path] = reason
            yield entry
        if self._refuse and self._found:
            raise _refusal(self._found)

    def content(self, entry: oci.Entry) -> Iterator[bytes]:
        """As the other source's; a key announces itself in the first bytes."""
        first = True
        for data in self._source.content(entry):
            if first and entry.path not in self._found and holds_key(data):
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
