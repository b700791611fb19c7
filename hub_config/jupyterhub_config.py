"""What JupyterHub reads as its configuration; `python -m hub_config` runs it."""

from hub_config import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821  # traitlets puts it here
