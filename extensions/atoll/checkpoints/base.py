"""The base of the embedded platform: its own Python and packages, over which environments lie."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import site
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from atoll.oci import Digest, ImageConfig, LayoutStore

LABEL: Final = "dev.atoll.base"
"""The image label that tells one base from another: the hash of its packages and versions."""
VERSION_LABEL: Final = "dev.atoll.version"
"""The image label with the platform's version that a base was made with."""
PYTHON_LABEL: Final = "dev.atoll.python"
"""The image label with the Python version of an environment, such as 3.11."""

_LABELLED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,49}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)  # the same packages give the same digest


def normalised(name: str) -> str:
    """A package's name as packaging compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def made_for(config: ImageConfig) -> dict[str, object]:
    """What an image was made with and for, in the columns of a checkpoint; None where it does not say."""
    labels = config.labels
    said = {
        "platform_version": labels.get(VERSION_LABEL),
        "python_version": labels.get(PYTHON_LABEL),
        "architecture": config.document.get("architecture"),
    }
    return {  # images may be anybody's
        name: text if isinstance(text, str) and _LABELLED.fullmatch(text) else None
        for name, text in said.items()
    }


@dataclass(frozen=True, slots=True)
class PlatformBase:
    """The platform's Python: `prefix` is its virtual environment, `packages` name → version."""

    prefix: Path
    interpreter: Path  # the Python that `prefix` was made from
    site_packages: tuple[Path, ...]
    packages: Mapping[str, str]
    name: str

    @classmethod
    def of_this_process(cls, name: str = "") -> PlatformBase:
        """The base that this process runs on; `name` is what people read."""
        folders = tuple(Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir())
        packages: dict[str, str] = {}
        for found in importlib.metadata.distributions(path=[str(folder) for folder in folders]):
            known = found.metadata["Name"]
            if known:  # a broken installation has none
                packages.setdefault(normalised(known), found.version)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return cls(
            prefix=Path(sys.prefix),
            interpreter=Path(sys._base_executable),  # type: ignore[attr-defined]  # venv uses it too
            site_packages=folders,
            packages=packages,
            name=name or f"Python {version}, {len(packages)} packages",
        )

    @property
    def python_version(self) -> str:
        """Such as `3.11`: environments of another version cannot lie over this base."""
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def version(self) -> str:
        """The platform's own version, empty where it is not installed as a package."""
        return self.packages.get("atoll", "")

    @property
    def label(self) -> str:
        """The hash of the Python version and of the sorted name==version list."""
        lines = [f"python=={self.python_version}"]
        lines += sorted(f"{name}=={version}" for name, version in self.packages.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def image(self, store: LayoutStore) -> Digest:
        """The digest of the base's image, which is put into the store where it is not yet."""
        from atoll.oci import create_base  # not where the user image is made: it needs zstandard

        labels = {
            LABEL: self.label,
            PYTHON_LABEL: self.python_version,
            VERSION_LABEL: self.version,
        }
        described = create_base(store, f"base-{self.label[:16]}", created=_EPOCH, labels=labels)
        return described.digest
