"""What users' servers and jobs get to know of the platform's own environment."""

from __future__ import annotations

import pytest
from atoll.kit.home import Home
from atoll.kit.variables import passed_on
from traitlets.config import Config

from hub_config import spawners
from hub_config.settings import HubSettings

THEIRS = {
    "PATH": "/bin", "SSL_CERT_FILE": "a", "https_proxy": "b", "NO_PROXY": "b",
    "PIP_INDEX_URL": "c", "UV_DEFAULT_INDEX": "d", "UV_INDEX_COMPANY_USERNAME": "d",
    "npm_config_registry": "d", "LANG": "e", "LC_ALL": "e", "LC_CTYPE": "e", "TMPDIR": "/tmp",
}  # fmt: skip
OURS = {
    "CONFIGPROXY_AUTH_TOKEN": "secret", "ATOLL_HOME": "f", "PYTHONPATH": "g", "HOME": "h",
    "AWS_SECRET_ACCESS_KEY": "secret", "JUPYTERHUB_API_TOKEN": "secret",
}  # fmt: skip


def test_certificates_proxies_and_indexes_are_passed_on_and_nothing_else() -> None:
    assert passed_on({**THEIRS, **OURS}) == THEIRS


def test_servers_get_what_jobs_get(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**THEIRS, **OURS}.items():
        monkeypatch.setenv(name, value)
    c = Config()
    spawners.configure(c, HubSettings(), home)
    assert set(c.LocalSpawner.env_keep) == passed_on().keys() >= THEIRS.keys()


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("variables") / "home")
    home.create()
    return home
