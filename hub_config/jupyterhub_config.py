"""What JupyterHub reads: `jupyterhub --config hub_config/jupyterhub_config.py`."""

from hub_config import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821  # traitlets puts it here
