"""What of a container is not saved, and what in it looks like a secret: decisions as pure functions."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from typing import Final

from atoll import oci
from atoll.agent.runtimes.container import Container
from atoll.agent.runtimes.lookup import resolved
from atoll.checkpoints.policy import debris
from atoll.kit.likely_secrets import holds_key, likely_secret

VERSION: Final = "1"
"""Of the rules below, told by each image: counted on where they leave out, or keep, what they did not before."""

_VOLATILE: Final = {
    b"dev": "belongs to the running system",
    b"proc": "belongs to the running system",
    b"sys": "belongs to the running system",
    b"run": "is emptied at each start",
    b"var/run": "is emptied at each start",
    b"tmp": "holds temporary files",
    b"var/tmp": "holds temporary files",
}
"""Directories whose content is not saved. They themselves are where the image has none of them."""
_RUNTIME_FILES: Final = frozenset(
    {b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"etc/mtab", b".dockerenv"}
)
_CACHES: Final = re.compile(
    rb"var/cache/(?:apt/archives|apt/[^/]*\.bin|dnf|yum|apk|pacman/pkg|zypp|libdnf5)"
    rb"|var/lib/apt/lists|etc/apk/cache"
    rb"|(?:.*/)?(?:conda|(?:mini|ana|micro|mamba)(?:conda|forge)?3?|micromamba)/pkgs"
    rb"|(?:.*/)?(?:\.npm/_cacache|\.yarn/cache|\.conda/pkgs|\.cargo/registry/cache)"
)
_JUPYTER: Final = b"/.local/share/jupyter/runtime"
_GPU_ROOTS: Final = (b"usr/", b"lib", b"etc/")  # looked at first: most paths lie elsewhere
_GPU_FILES: Final = re.compile(
    rb"(?:usr/)?lib(?:64)?/(?:[^/]+/)*lib(?:cuda|cudadebugger|nv[a-z]+|nvidia-[a-z0-9-]+|[A-Za-z0-9]+_nvidia)"
    rb"\.so[0-9.]*"
    rb"|usr/bin/nvidia-[a-z-]+|(?:usr/)?lib/firmware/nvidia(?:/.*)?"
    rb"|etc/(?:vulkan|glvnd)/.*nvidia.*\.json|usr/share/(?:glvnd|nvidia|vulkan)/.*nvidia.*"
)
_OF_TESTS: Final = re.compile(rb"(?:.*/)?(?:site|dist)-packages/(?:.*/)?tests?/.*")

HOLDS_KEY: Final = "it holds a private key"


def why_left_out(container: Container) -> oci.Exclude:
    """The policy for one container: gives the reason why a path (and all below it) is not saved."""
    mounted = frozenset(_in_image(container, container.targets))
    fixed = dict.fromkeys(_RUNTIME_FILES, "the runtime writes it at each start")
    fixed.update(_volatile(container))

    def why(path: bytes) -> str | None:
        if path in mounted:
            return "something is mounted here"
        if (reason := fixed.get(path)) is not None:
            return reason
        parent = path.rpartition(b"/")[0]
        if parent in _VOLATILE:
            return f"/{parent.decode()} {_VOLATILE[parent]}"
        if (
            path.startswith(_GPU_ROOTS)
            and _GPU_FILES.fullmatch(path)
            and _injected(container, path)
        ):
            return "the GPU runtime puts it there at each start"
        return _of_no_use(path) or debris(path)

    return why


def _of_no_use(path: bytes) -> str | None:
    if _CACHES.fullmatch(path):
        return "a package manager's cache"
    return "files of a running Jupyter" if (b"/" + path).endswith(_JUPYTER) else None


def secret_in(path: bytes, header: bytes) -> str | None:
    """Why a file looks like a secret, None where it does not; `header` is how it begins."""
    if likely_secret(path):
        return "a file of this name usually holds a password, a key or a token"
    return HOLDS_KEY if key_in(path, header) else None


def key_in(path: bytes, header: bytes) -> bool:
    """Whether a file that begins so holds a private key; those that packages bring for their tests are no secret."""
    return holds_key(header) and _OF_TESTS.fullmatch(path) is None


def _volatile(container: Container) -> Iterable[tuple[bytes, str]]:
    """A directory that the image itself brings is left out as a whole, with its times and mode."""
    for path, reason in _VOLATILE.items():
        if resolved(container.lowers, path, last=False) is not None:
            yield path, f"/{path.decode()} {reason}"


def _in_image(container: Container, targets: Iterable[bytes]) -> Iterable[bytes]:
    """Where the targets are in the image, whose directories on the way may be symlinks."""
    layers = (container.upper, *container.lowers)
    for target in targets:
        yield target
        found = resolved(layers, target)
        if found:
            yield found


def _injected(container: Container, path: bytes) -> bool:
    """Whether it is only what something was mounted over (an empty file), or a link beside it."""
    try:
        status = os.lstat(os.fsencode(container.upper) + b"/" + path)
    except OSError:
        return False
    return not stat.S_ISREG(status.st_mode) or status.st_size == 0
