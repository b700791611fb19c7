"""Trusted notebooks, remembered without SQLite."""

from __future__ import annotations

import logging
from pathlib import Path

import nbformat
import pytest
from atoll.server.trust import SignatureFile
from nbformat.sign import NotebookNotary

ONE, OTHER = "0a" * 32, "0b" * 32


def test_a_later_server_knows_what_was_trusted(tmp_path: Path) -> None:
    file = tmp_path / "trusted"
    first = SignatureFile(file)
    first.store_signature(ONE, "sha256")
    first.store_signature(ONE, "sha256")
    assert file.read_text() == f"sha256 {ONE}\n"
    later = SignatureFile(file)
    assert later.check_signature(ONE, "sha256")
    assert not later.check_signature(OTHER, "sha256")
    assert not later.check_signature(ONE, "sha512")


def test_what_is_trusted_no_more_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "trusted"
    store = SignatureFile(file)
    store.store_signature(ONE, "sha256")
    store.store_signature(OTHER, "sha256")
    store.remove_signature(ONE, "sha256")
    later = SignatureFile(file)
    assert not later.check_signature(ONE, "sha256")
    assert later.check_signature(OTHER, "sha256")


def test_a_line_that_was_cut_off_trusts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "trusted"
    file.write_bytes(f"sha256 {ONE}\nsha256 {OTHER[:40]}".encode() + b"\xff")
    store = SignatureFile(file)
    assert store.check_signature(ONE, "sha256")
    assert not store.check_signature(OTHER, "sha256")
    assert file.read_text() == f"sha256 {ONE}\n"


def test_the_file_stays_small(tmp_path: Path) -> None:
    file = tmp_path / "trusted"
    most = SignatureFile.cache_size
    file.write_text("".join(f"sha256 {number:064x}\n" for number in range(most + 1000)))
    store = SignatureFile(file)
    assert len(store.data) < most
    assert store.check_signature(f"{most + 999:064x}", "sha256")
    assert not store.check_signature(f"{0:064x}", "sha256")
    assert len(file.read_text().splitlines()) == len(store.data)


def test_a_disk_that_takes_nothing_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SignatureFile(tmp_path / "no such folder" / "trusted")
    with caplog.at_level(logging.WARNING):
        store.store_signature(ONE, "sha256")
    assert store.check_signature(ONE, "sha256")
    assert "remembered until the server ends" in caplog.text


def test_jupyter_trusts_a_notebook_by_it(tmp_path: Path) -> None:
    def notary() -> NotebookNotary:
        return NotebookNotary(
            data_dir=str(tmp_path), store_factory=lambda: SignatureFile(tmp_path / "trusted")
        )

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    assert not notary().check_signature(notebook)
    notary().sign(notebook)
    assert notary().check_signature(notebook)
    assert not list(tmp_path.glob("*.db"))
