"""A registry with a CA of its own sends nodes for tokens to the service, which has another CA of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from atoll.checkpoints.registry_pulls import PULLER, SECRET
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.settings import RegistrySettings
from atoll.kit.home import Home
from atoll.oci.image import digest_of
from atoll.oci.publish import create_base
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_errors import DeniedError, RegistryAwayError
from atoll.oci.registry_settings import AccessToken, Password, Registry
from atoll.oci.store import load_image, put_blob

from tests.contract.agent.node import running_node
from tests.service.whole import whole_service

from .logins import Tls, certificates
from .servers import Running, free_port, started
from .trees import MIB, NOW, saved, tree

OURS = "kept/ada"


@dataclass(frozen=True)
class Site:
    """A registry and the service beside it, each with its CA; `digest` is an image of ours there."""

    registry: Running
    registry_tls: Tls
    service: str  # its host and port
    service_tls: Tls
    tokens: RegistryTokens
    password: str
    digest: str

    def node(self, trusted: Path, password: str | None = None, **settings: object) -> Registry:
        """How a node reaches it that trusts this bundle and has the nodes' login."""
        given: dict[str, object] = {
            "plain_http": False,
            "ca_file": trusted,
            "credentials": Password(PULLER, self.password if password is None else password),
            "realms": frozenset({self.service}),
        }
        return self.registry.reached(**given | settings)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("site")
    ours, theirs = certificates(place / "service"), certificates(place / "registry-tls")
    home, port = Home(place / "home"), free_port()
    settings = RegistrySettings(address=f"127.0.0.1:{port}", prefix="kept", issuer="atoll")
    tls = (ours.certificate, ours.key)
    with whole_service(home, tls, registry=settings) as url:
        tokens = RegistryTokens(home, issuer="atoll", service=settings.service)
        (place / "bundle.pem").write_text(tokens.certificate)
        auth = {
            "realm": f"{url}/registry/token",
            "issuer": "atoll",
            "service": settings.service,
            "rootcertbundle": str(place / "bundle.pem"),
        }
        http = {"tls": {"certificate": str(theirs.certificate), "key": str(theirs.key)}}
        with started(place / "registry", http=http, auth={"token": auth}, port=port) as registry:
            issued = tokens.issue(OURS, "pull,push", save="ck-1")
            agent = registry.reached(
                plain_http=False,
                ca_file=theirs.authority,
                credentials=lambda: AccessToken(issued.value),
            )
            with RegistryStore(agent, OURS) as store:
                image, _ = saved(store, tree(place / "root", size=2 * MIB), "v1")
            password = home.secret(SECRET)
            service = urlsplit(url).netloc
            yield Site(registry, theirs, service, ours, tokens, password, image.digest)


@pytest.fixture
def both(site: Site, tmp_path: Path) -> Path:
    """The certificates that a node is given: both CAs'."""
    found = tmp_path / "both.pem"
    found.write_bytes(site.registry_tls.authority.read_bytes())
    with found.open("ab") as file:
        file.write(site.service_tls.authority.read_bytes())
    return found


def test_a_node_that_trusts_both_pulls(site: Site, both: Path) -> None:
    with RegistryStore(site.node(both), OURS) as store:
        image = load_image(store, site.digest)
        for layer in image.manifest.layers:
            with store.open(layer.digest) as file:
                assert digest_of(file.read()) == layer.digest


def test_with_the_nodes_login_nothing_is_written_there(site: Site, both: Path) -> None:
    with RegistryStore(site.node(both), OURS) as store:
        with pytest.raises(DeniedError):
            put_blob(store, b"x", digest_of(b"x"))
        with pytest.raises(DeniedError):
            store.delete(site.digest)
        with pytest.raises(DeniedError):
            create_base(store, "", labels={}, created=NOW)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_another_password_opens_nothing(site: Site, both: Path, password: str) -> None:
    with (
        RegistryStore(site.node(both, password), OURS) as store,
        pytest.raises(DeniedError, match="does not accept us") as caught,
    ):
        load_image(store, site.digest)
    assert site.service in str(caught.value)


@pytest.mark.parametrize("known", ["registry", "service"])
def test_who_knows_only_one_of_the_two_gets_nothing_and_shows_no_password(
    site: Site, known: str
) -> None:
    tls = site.registry_tls if known == "registry" else site.service_tls
    reached = site.node(tls.authority, patience=0.1)
    with RegistryStore(reached, OURS) as store, pytest.raises(RegistryAwayError) as caught:
        load_image(store, site.digest)
    assert "certificate" in str(caught.value).lower()
    assert site.password not in str(caught.value)


def test_a_token_of_another_installation_opens_nothing(
    site: Site, both: Path, tmp_path: Path
) -> None:
    other = RegistryTokens(Home(tmp_path), issuer="atoll", service="registry")
    issued = other.issue(OURS, "pull", save="node")
    reached = site.node(both, credentials=lambda: AccessToken(issued.value))
    with RegistryStore(reached, OURS) as store, pytest.raises(DeniedError):
        store.has(site.digest)


def test_containerd_pulls_with_what_a_node_is_told(site: Site, both: Path, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts" / site.registry.address
    hosts.mkdir(parents=True)
    origin = f"https://{site.registry.address}"
    (hosts / "hosts.toml").write_text(
        f'server = "{origin}"\n[host."{origin}"]\n'
        f'capabilities = ["pull", "resolve"]\nca = ["{both}"]\n'
    )
    image = f"{site.registry.address}/{OURS}@{site.digest}"
    pull = ("images", "pull", "--hosts-dir", hosts.parent, "--user")
    with running_node() as node:
        node.ctr(*pull, f"{PULLER}:wrong", image, check=False)
        assert image not in node.ctr("images", "ls")
        node.ctr(*pull, f"{PULLER}:{site.password}", image)
        assert image in node.ctr("images", "ls")
