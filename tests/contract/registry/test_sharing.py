"""A start from what somebody else shares, in a real registry: pulled from hers, saved into one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll import oci
from atoll.checkpoints import client
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import AccessToken

from tests.contract.registry.servers import Running
from tests.contract.registry.test_removals import (
    _order,
    auth,
    cluster,
    home,
    port,
    registry,
    save,
    told,
)
from tests.service.nodes.cluster import Cluster, eventually
from tests.unit.oci.trees import NOW

__all__ = ["auth", "cluster", "home", "port", "registry"]  # fixtures


def test_a_start_from_anothers_image_is_saved_into_ones_own_repository(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    first = save(cluster, registry, tmp_path)
    [adas] = cluster.checkpoints()
    cluster.send(client.share(adas.id, "user:bob"))
    image = f"{registry.address}/atoll/ada@{first}"

    cluster.start("bob", environment=first, image=image)
    assert cluster.send(client.preparation("bob", ""), "hub").image == image
    cluster.end("bob")
    order = eventually(lambda: _order(cluster), lambda found: found is not None)
    assert order is not None
    assert order.target.kind == "registry"
    assert (order.target.repository, order.image, order.parent) == ("atoll/bob", image, first)
    assert order.target.token is not None
    token = AccessToken(order.target.token.value, order.target.token.expires)
    reached = registry.reached(credentials=lambda: token)
    tree = tmp_path / "bobs"
    tree.mkdir()
    (tree / "more").write_text("bob's")
    with RegistryStore(reached, "atoll/ada") as hers, RegistryStore(reached, "atoll/bob") as own:
        parent = oci.load_image(hers, first)
        with pytest.raises(oci.OciError):
            oci.create_base(hers, "x", created=NOW, labels={"by": "bob"})
        for one in parent.manifest.layers:
            oci.copy_blob(hers, one, own)
        layer = oci.write_layer(oci.DirectorySource(tree, owner=(0, 0)), own)
        made = oci.append_layer(own, parent, layer, name=order.checkpoint, created=NOW)
    told(cluster, order, made)

    assert cluster.saved("bob").environment == str(made.digest)
    [bobs] = cluster.send(client.checkpoints(), "bob").items
    assert (bobs.parent, bobs.base) == (first, adas.base)
    assert made.digest in registry.images("atoll/bob")
    assert made.digest not in registry.images("atoll/ada")
    cluster.start("bob", image=f"{registry.address}/atoll/bob@{made.digest}")
    again = cluster.send(client.preparation("bob", ""), "hub")
    assert again.image == f"{registry.address}/atoll/bob@{made.digest}"
