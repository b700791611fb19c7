"""What an operator says to JupyterHub itself, last and over all that is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atoll.kit.home import Home
from atoll.kit.settings import SettingsError

from hub_config.settings import HubSettings


def configure(c: Any, settings: HubSettings, _home: Home) -> None:
    """Run the operator's Python file, in which `c` is the configuration; raises SettingsError."""
    if not settings.hub.extra_config:
        return
    path = Path(settings.hub.extra_config)
    try:
        code = compile(path.read_text("utf-8"), str(path), "exec")
    except (OSError, SyntaxError, ValueError) as error:
        raise SettingsError(f"hub.extra_config = {str(path)!r} cannot be read: {error}.") from error
    exec(code, {"c": c, "get_config": lambda: c, "__file__": str(path)})  # noqa: S102  # the operator's own
