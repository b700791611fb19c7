"""Which layers a docker reads, by its version."""

from __future__ import annotations

import pytest
from atoll.agent.runtimes.docker import readable
from atoll.oci.image import Compression


@pytest.mark.parametrize("version", ["23.0.0", "28.3.2", "24.0.7-ce", "100.0"])
def test_zstd_since_23(version: str) -> None:
    assert readable(version) is Compression.ZSTD


@pytest.mark.parametrize(
    "version", ["20.10.24+dfsg1", "19.03.8", "22.06.0-beta.0", "", "dev", "x23.0"]
)
def test_gzip_before_and_where_nobody_knows(version: str) -> None:
    assert readable(version) is Compression.GZIP
