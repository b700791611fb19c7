"""Prints what an image installs, from pyproject.toml: `requirements.py [--no-core] EXTRA…`.

The platform itself is installed from its wheel, in a layer of its own, so that a new version of it does
not move the hundreds of megabytes below it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

OWN = re.compile(r"atoll\[([a-z,-]+)\]")


def expanded(extras: Iterable[str], known: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The requirements of extras, also of those that they name themselves."""
    for extra in extras:
        for requirement in known[extra]:
            if own := OWN.fullmatch(requirement):
                yield from expanded(own[1].split(","), known)
            else:
                yield requirement


def main(arguments: Sequence[str]) -> None:
    """Print one requirement a line, sorted."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())[
        "project"
    ]
    core = [] if "--no-core" in arguments else project["dependencies"]
    extras = [argument for argument in arguments if argument != "--no-core"]
    wanted = {*core, *expanded(extras, project["optional-dependencies"])}
    print("\n".join(sorted(wanted)))


if __name__ == "__main__":
    main(sys.argv[1:])
