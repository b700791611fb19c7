"""A program that saves a directory into a registry; tests kill it: `pusher.py ADDRESS REPOSITORY ROOT`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from atoll.oci.directory import DirectorySource
from atoll.oci.layer import write_layer
from atoll.oci.publish import append_layer, create_base
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Registry


def main(address: str, repository: str, root: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with RegistryStore(Registry(address, plain_http=True, chunk=1 << 20), repository) as store:
        base = create_base(store, "", labels={}, created=now)
        layer = write_layer(DirectorySource(Path(root), owner=(0, 0)), store)
        append_layer(store, base.digest, layer, name="v1", created=now)


main(*sys.argv[1:])
