"""Which environment variables of the platform's own processes users' processes get: few, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_NAMES: Final = frozenset(
    {
        "PATH", "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR",
        # certificates: without them pip and uv fail behind a company's own authority
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
        "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
    }
)  # fmt: skip
_PREFIXES: Final = ("LC_", "PIP_", "UV_", "NPM_CONFIG_")


def passed_on(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of this process that users' servers and jobs start with.

    With them pip and uv reach what the operator's own shell reaches. An allow-list: what the
    platform keeps to itself (tokens, settings) must never get through.
    """
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in _NAMES or name.upper().startswith(_PREFIXES)
    }
