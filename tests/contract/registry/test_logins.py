"""Who we are at a registry: passwords, tokens and TLS against the real one, and what nobody else gets."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.kit.home import Home
from atoll.oci.image import digest_of
from atoll.oci.publish import create_base
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_auth import Challenge, challenge_of
from atoll.oci.registry_errors import DeniedError, RegistryAwayError, RegistryError
from atoll.oci.registry_settings import AccessToken, Password
from atoll.oci.store import load_image, put_blob

from .faults import answers, proxy, says
from .logins import HTPASSWD, PASSWORD, USER, TokenService, certificates, token_service
from .servers import Running, started
from .trees import MIB, NOW, noise, saved, tree

ISSUER, SERVICE = "the platform", "the registry"
ADA = Password(USER, PASSWORD)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> RegistryTokens:
    return RegistryTokens(Home(tmp_path_factory.mktemp("home")), issuer=ISSUER, service=SERVICE)


def given(tokens: RegistryTokens, scopes: list[str]) -> tuple[str, float]:
    """A token for the first scope, with `pull` on the others, as ours and other services give it."""
    (_, repository, actions), *others = (scope.split(":") for scope in scopes)
    issued = tokens.issue(
        repository,
        "pull,push" if "push" in actions else "pull",
        save="ck-1",
        pull_from=[name for _, name, _ in others],
    )
    return issued.value, issued.expires - time.time()


@pytest.fixture(scope="module")
def service(tokens: RegistryTokens) -> Iterator[TokenService]:
    with token_service(lambda scopes: given(tokens, scopes)) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(
    tokens: RegistryTokens, service: TokenService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A registry that wants tokens of the platform."""
    place = tmp_path_factory.mktemp("guarded")
    (place / "bundle.pem").write_text(tokens.certificate)
    auth = {
        "token": {
            "realm": f"http://{service.address}/token",
            "issuer": ISSUER,
            "service": SERVICE,
            "rootcertbundle": str(place / "bundle.pem"),
        }
    }
    with started(place, auth=auth) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A registry with a password."""
    place = tmp_path_factory.mktemp("locked")
    (place / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(place / "htpasswd")}}
    with started(place, auth=auth) as running:
        yield running


def test_a_password_opens_a_registry_with_basic_login(
    locked: Running, repository: str, tmp_path: Path
) -> None:
    with RegistryStore(locked.reached(credentials=ADA), repository) as store:
        image, _ = saved(store, tree(tmp_path / "root", size=20 * MIB), "v1")
        assert load_image(store, image.digest).digest == image.digest


@pytest.mark.parametrize("credentials", [None, Password(USER, "wrong"), Password("eve", PASSWORD)])
def test_without_the_right_password_a_registry_stays_closed(
    locked: Running, repository: str, credentials: Password | None
) -> None:
    with RegistryStore(locked.reached(credentials=credentials), repository) as store:
        with pytest.raises(DeniedError) as caught:
            create_base(store, "", labels={}, created=NOW)
        assert caught.value.hint
        assert "wrong" not in str(caught.value) and PASSWORD not in str(caught.value)


def test_a_token_is_fetched_with_the_password_and_kept_for_the_next_calls(
    guarded: Running, service: TokenService, repository: str, tmp_path: Path
) -> None:
    before = len(service.asked)
    reached = guarded.reached(credentials=ADA, realms=frozenset({service.address}))
    with RegistryStore(reached, repository) as store:
        image, _ = saved(store, tree(tmp_path / "root", size=20 * MIB), "v1")
        assert load_image(store, image.digest).digest == image.digest
    scopes = [asked for asked, _ in service.asked[before:]]
    assert sorted(scopes) == [
        [f"repository:{repository}:pull"],
        [f"repository:{repository}:pull,push"],
    ]


def test_a_mount_asks_for_a_token_that_reads_the_other_repository(
    guarded: Running, service: TokenService, repository: str
) -> None:
    reached = guarded.reached(credentials=ADA, realms=frozenset({service.address}))
    data = noise(1000)
    with RegistryStore(reached, f"{repository}/base") as base:
        put_blob(base, data, digest_of(data))
    with RegistryStore(reached, repository) as store:
        assert store.mount(digest_of(data), f"{repository}/base")
        assert store.has(digest_of(data))


def test_a_push_token_opens_its_repository_and_no_other(
    guarded: Running, tokens: RegistryTokens, repository: str, tmp_path: Path
) -> None:
    def push() -> AccessToken:
        issued = tokens.issue(repository, "pull,push", save="ck-1")
        return AccessToken(issued.value, issued.expires)

    data = noise(1000)
    reached = guarded.reached(credentials=push)
    with RegistryStore(reached, repository) as store:
        image, _ = saved(store, tree(tmp_path / "root"), "v1")
        put_blob(store, data, digest_of(data))
        with pytest.raises(DeniedError):
            store.delete(image.digest)
    for other in (f"{repository}-of-bob", f"{repository}/below", "elsewhere"):
        with RegistryStore(reached, other) as store:
            with pytest.raises(DeniedError):
                store.has(digest_of(data))
            with pytest.raises(DeniedError):
                store.writer().commit(digest_of(b""))
            with pytest.raises(DeniedError):
                store.put_manifest(b"{}", "application/json", "v1")
            assert not store.mount(digest_of(data), repository)
    with RegistryStore(reached, repository) as store:
        assert not store.mount(digest_of(b"of bob"), "elsewhere")


def test_the_services_own_token_deletes(
    guarded: Running, tokens: RegistryTokens, repository: str, tmp_path: Path
) -> None:
    source = _once(tokens.issue(repository, "delete,pull,push", save="service").value)
    with RegistryStore(guarded.reached(credentials=source), repository) as store:
        image, _ = saved(store, tree(tmp_path / "root"), "v1")
        store.delete(image.digest)
        assert image.digest not in guarded.images(repository)


def test_a_pull_token_does_not_push(
    guarded: Running, tokens: RegistryTokens, repository: str
) -> None:
    def pull() -> AccessToken:
        return AccessToken(tokens.issue(repository, "pull", save="ck-1").value)

    with RegistryStore(guarded.reached(credentials=pull), repository) as store:
        assert not store.has(digest_of(b"x"))
        with pytest.raises(DeniedError):
            put_blob(store, b"x", digest_of(b"x"))


def test_a_token_of_another_key_issuer_or_audience_is_refused(
    guarded: Running, tokens: RegistryTokens, repository: str, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    theirs = RegistryTokens(home, issuer=ISSUER, service=SERVICE)
    assert theirs.key_id != tokens.key_id
    for issuer in (theirs, _like(tokens, issuer="somebody"), _like(tokens, service="elsewhere")):
        source = _once(issuer.issue(repository, "pull,push", save="ck-1").value)
        with (
            RegistryStore(guarded.reached(credentials=source), repository) as store,
            pytest.raises(DeniedError),
        ):
            store.has(digest_of(b"x"))


def _like(tokens: RegistryTokens, **changed: str) -> RegistryTokens:
    """The same key with other words."""
    other = object.__new__(RegistryTokens)
    other.__dict__.update(tokens.__dict__)
    other.__dict__.update({f"_{name}": value for name, value in changed.items()})
    return other


def _once(value: str) -> Callable[[], AccessToken]:
    return lambda: AccessToken(value)


def test_a_token_that_ends_in_the_middle_of_an_upload_is_renewed(
    guarded: Running, tokens: RegistryTokens, repository: str
) -> None:
    """The registry allows a minute past the end: tokens that ended 59 s ago live for a second."""
    ended = RegistryTokens.__new__(RegistryTokens)
    ended.__dict__.update(tokens.__dict__ | {"_lifetime": -59.0})
    taken: list[float] = []

    def source() -> AccessToken:
        issuer = tokens if taken else ended
        taken.append(time.monotonic())
        issued = issuer.issue(repository, "pull,push", save="ck-1")
        return AccessToken(issued.value, time.time() + 600)  # it does not know better

    data = noise(24 * MIB)
    with RegistryStore(guarded.reached(credentials=source), repository) as store:
        writer = store.writer()
        writer.write(data[: 9 * MIB])
        with RegistryStore(
            guarded.reached(credentials=_once(_value(ended, repository))), repository
        ) as old:
            _wait_until_refused(old)
        writer.write(data[9 * MIB :])
        writer.commit(digest_of(data))
        assert store.has(digest_of(data))
    assert len(taken) == 2


def _value(tokens: RegistryTokens, repository: str) -> str:
    return tokens.issue(repository, "pull", save="ck-1").value


def _wait_until_refused(store: RegistryStore) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            store.has(digest_of(b"x"))
        except DeniedError:
            return
        time.sleep(0.05)
    raise AssertionError("the registry never refuses the token")


def test_a_realm_on_another_host_gets_no_password(
    guarded: Running, service: TokenService, repository: str
) -> None:
    before = len(service.asked)
    with (
        RegistryStore(guarded.reached(credentials=ADA), repository) as store,
        pytest.raises(DeniedError, match="own address alone") as caught,
    ):
        store.has(digest_of(b"x"))
    assert service.address in str(caught.value)
    assert service.asked[before:] == []


def test_a_realm_over_plain_http_is_not_asked(tmp_path: Path, service: TokenService) -> None:
    tls = certificates(tmp_path / "tls")
    (tmp_path / "bundle.pem").write_bytes(tls.certificate.read_bytes())
    token = {
        "realm": f"http://{service.address}/token",
        "issuer": ISSUER,
        "service": SERVICE,
        "rootcertbundle": str(tmp_path / "bundle.pem"),
    }
    http = {"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}}
    before = len(service.asked)
    with started(tmp_path / "registry", http=http, auth={"token": token}) as running:
        reached = running.reached(
            plain_http=False,
            ca_file=tls.authority,
            credentials=ADA,
            realms=frozenset({service.address}),
        )
        with RegistryStore(reached, "a") as store, pytest.raises(DeniedError, match="plain HTTP"):
            store.has(digest_of(b"x"))
    assert service.asked[before:] == []


def test_a_redirect_or_an_upload_elsewhere_gets_no_password(
    locked: Running, repository: str, tmp_path: Path
) -> None:
    data = noise(20 * MIB)
    digest = digest_of(data)
    with ExitStack() as stack:
        open_one = stack.enter_context(started(tmp_path / "open", storage=locked.storage))
        here, there = (stack.enter_context(proxy(one.port)) for one in (locked, open_one))
        reached = Running(here.address, locked.storage, locked.log).reached(credentials=ADA)
        store = stack.enter_context(RegistryStore(reached, repository))
        begun = stack.enter_context(RegistryStore(open_one.reached(), repository))
        upload = begun.session.request("POST", begun.session.path("blobs/uploads"), (), "a test")
        away = upload.headers["location"].replace(open_one.address, there.address)
        here.on("POST", "/blobs/uploads/$", says(location=away))
        put_blob(store, data, digest)
        sent = [seen for seen in there.seen if seen.method in ("PATCH", "PUT")]
        assert len(sent) == 4
        path = f"/v2/{repository}/blobs/{digest}"
        here.on("GET", path, answers(307, location=f"http://{there.address}{path}"))
        with store.open(digest) as file:
            assert file.read(10)
        assert there.count("GET", path) == 1
        assert all("authorization" not in seen.headers for seen in there.seen)
        assert all("authorization" in seen.headers for seen in here.seen[1:])


def test_a_redirect_to_plain_http_is_not_followed(tmp_path: Path, registry: Running) -> None:
    tls = certificates(tmp_path / "tls")
    http = {"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}}
    with started(tmp_path / "registry", http=http) as running:
        reached = running.reached(plain_http=False, ca_file=tls.authority)
        with RegistryStore(reached, "a") as store:
            image, _ = saved(store, tree(tmp_path / "root", size=20 * MIB), "v1")
            assert load_image(store, image.digest).digest == image.digest
            with pytest.raises(RegistryError, match="not safe"):
                store.session.allowed(f"http://{registry.address}/v2/")
            # a proxy before the registry that does not tell it of TLS
            assert store.session.allowed("http://127.0.0.1/v2/x?y=%3D") == (
                f"https://{running.address}/v2/x?y=%3D"
            )


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    http = {"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}}
    with started(tmp_path / "registry", http=http) as running:
        reached = running.reached(plain_http=False, patience=0.1)
        with (
            RegistryStore(reached, "a") as store,
            pytest.raises(RegistryAwayError, match="certificate") as caught,
        ):
            store.tags()
        assert "SSL_CERT_FILE" in str(caught.value.hint)
        trusted = tmp_path / "trusted.crt"
        system = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
        trusted.write_bytes(system + tls.authority.read_bytes())
        reads = (
            "from atoll.oci.registry import RegistryStore, Registry;"
            f" RegistryStore(Registry('{running.address}', patience=0.1), 'a').tags()"
        )
        environment = {**os.environ, "SSL_CERT_FILE": str(trusted)}  # read once in a process
        subprocess.run([sys.executable, "-c", reads], env=environment, check=True)
    with pytest.raises(RegistryError, match=r"none\.pem"):
        RegistryStore(running.reached(plain_http=False, ca_file=tmp_path / "none.pem"), "a")


def test_secrets_are_in_no_text_and_no_log(
    guarded: Running,
    service: TokenService,
    repository: str,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    reached = guarded.reached(credentials=ADA, realms=frozenset({service.address}))
    with RegistryStore(reached, repository) as store:
        saved(store, tree(tmp_path / "root"), "v1")
        texts = [
            caplog.text,
            repr(reached),
            repr(store),
            repr(ADA),
            repr(AccessToken("a-hidden-one")),
        ]
    logins = [login.removeprefix("Basic ") for _, login in service.asked if login]
    secrets = [PASSWORD, "a-hidden-one", *logins, *service.given]
    assert len(secrets) >= 4
    assert not [secret for secret in secrets if any(secret in text for text in texts)]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('Bearer realm="https://a/t",service="s",scope="repository:a:pull"',
         Challenge("bearer", "https://a/t", "s")),
        ('bearer realm="https://a/t?x=1,2" , service=s', Challenge("bearer", "https://a/t?x=1,2", "s")),
        ('Bearer realm="a\\"b"', Challenge("bearer", 'a"b')),
        ('Basic realm="x"', Challenge("basic", "x")),
        ("Basic", Challenge("basic")),
        ("Negotiate abc", None),
        ("", None),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, wanted: Challenge | None) -> None:
    assert challenge_of(header) == wanted
