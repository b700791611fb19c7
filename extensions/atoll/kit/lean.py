"""httpx without its command line, which brings rich and pygments: nearly half of what its import takes."""

import sys

__all__ = ["httpx"]

_COMMAND_LINE = "httpx._main"
sys.modules.setdefault(_COMMAND_LINE, None)  # type: ignore[arg-type]  # httpx does without, as where rich is not installed

import httpx  # noqa: E402  # after that

if sys.modules[_COMMAND_LINE] is None:
    del sys.modules[_COMMAND_LINE]  # whoever wants it has it
