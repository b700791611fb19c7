"""Which notebooks their user trusts, remembered in a plain file: SQLite fails on network file systems.

The user image tells Jupyter to use it; without it the signatures are in an SQLite file in the home.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from nbformat.sign import MemorySignatureStore

_LINE = re.compile(r"([a-z0-9_]+) ([0-9a-f]+)\n")
_log = logging.getLogger(__name__)


class SignatureFile(MemorySignatureStore):  # type: ignore[misc]  # nbformat has no types
    """One line a signature. Several servers may add to one file; each knows of the others at its start."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._path = path or Path(jupyter_data_dir(), "trusted-notebooks")
        lines = self._lines()
        for line in lines:
            if found := _LINE.fullmatch(line):  # else it was cut off by a full disk
                super().store_signature(found[2], found[1])
        if len(self.data) < len(lines):  # what is doubled, forgotten or broken
            self._write()

    def store_signature(self, digest: str, algorithm: str) -> None:
        """Remember it, also for later servers if the disk lets us."""
        known = (digest, algorithm) in self.data
        super().store_signature(digest, algorithm)
        if known:
            return
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{algorithm} {digest}\n")
        except OSError as error:
            _log.warning("A trusted notebook is remembered until the server ends: %s", error)

    def remove_signature(self, digest: str, algorithm: str) -> None:
        """Forget it."""
        super().remove_signature(digest, algorithm)
        self._write()

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text("ascii", errors="replace").splitlines(keepends=True)
        except OSError:
            return []

    def _write(self) -> None:
        draft = self._path.with_suffix(".draft")
        try:
            draft.write_text("".join(f"{name} {digest}\n" for digest, name in self.data), "ascii")
            draft.replace(self._path)
        except OSError as error:
            _log.warning("The list of trusted notebooks could not be written: %s", error)
