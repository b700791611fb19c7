"""Prints an image's size as nodes pull it and its layers, and takes its bill of materials out of it.

`weigh.py REFERENCE FILE` with a reference in a registry; one on this machine is spoken to without TLS.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from atoll.oci import load_image, open_layer
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import Password, Reference, Registry

SBOM = b"usr/share/atoll/sbom.json"


def main(text: str, file: Path) -> None:
    """Print `MEGABYTES LAYERS DIGEST`; raises OciError where the image is not there."""
    reference = Reference.parse(text)
    host = reference.registry.partition(":")[0]
    user = os.environ.get("REGISTRY_USER")
    login = Password(user, os.environ.get("REGISTRY_PASSWORD", "")) if user else None
    local = host in {"localhost", "127.0.0.1"}
    registry = Registry(reference.registry, login, plain_http=local, patience=5)
    with RegistryStore(registry, reference.repository) as store:
        digest = reference.digest or store.resolve(reference.tag or "latest").digest
        image = load_image(store, digest)
        layers = list(zip(image.manifest.layers, image.config.diff_ids, strict=True))
        for layer, diff_id in reversed(layers):
            with open_layer(store, layer, diff_id) as reader:
                content = next((reader.read() for entry in reader if entry.path == SBOM), None)
            if content is not None:
                file.write_bytes(content)
                break
        print(f"{image.size / 1e6:.1f} {len(layers)} {digest}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
