"""An environment as a directory over the platform's Python: restored, looked at, saved.

`root/env` is the environment; beside it lie the index of what was last saved or restored, and the
kernelspec. Everything blocks: call it from a thread, with the directory's lock held.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.checkpoints import changes, policy, skeleton
from atoll.checkpoints.base import PlatformBase, made_for
from atoll.checkpoints.models import Changes
from atoll.checkpoints.relocation import Relocation
from atoll.kit import words
from atoll.kit.files import read_bounded
from atoll.kit.likely_secrets import likely_secret
from atoll.kit.locks import held

Progress = Callable[[int, int], None]
"""Called with the bytes done and the total."""
_STACKED_MOST: Final = 100  # layers, where merging them all into one would need too much room


class QuotaError(oci.LimitError):
    """More than what is left of a user's quota."""


@dataclass(frozen=True, slots=True)
class Saved:
    """An environment that is in the store: its digest, what it holds, and what it does not."""

    digest: str
    parent: str
    layer_size: int  # bytes added, compressed
    size: int  # bytes over the base, compressed
    changes: Changes  # against the base
    packages: dict[str, str]  # over the base
    left_out: list[tuple[str, str]]
    secrets: list[str]
    torn: list[str]
    layers: dict[str, int]  # digest → bytes as stored
    made_for: dict[str, object]  # see `base.made_for`
    added: int = 0  # logical bytes of files


class EnvironmentDirectory:
    """The directory of one server or job."""

    def __init__(self, root: Path, base: PlatformBase, limits: oci.Limits) -> None:
        self.root = root
        self.env = root / "env"
        self._base = base
        self._limits = limits
        self._index = root / "index"
        self._restoring = root / "restoring"
        self._jupyter = root / "jupyter"

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Held by one at a time, over processes; False at once where somebody else holds it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with held(descriptor) as alone:
            yield alone

    def whole(self) -> bool:
        """Whether there is an environment, and no restore of it was cut off."""
        return self.env.is_dir() and not self._restoring.exists()

    def digest(self) -> str | None:
        """The environment that the directory was last saved as or restored from, if that is known."""
        index = self._known()
        return index.image if index is not None and self.whole() else None

    def variables(self, path: str = os.environ.get("PATH", os.defpath)) -> dict[str, str]:
        """Environment variables of processes that are to run in the environment."""
        return skeleton.variables(self.env, self._jupyter, self._base, path)

    def refresh(self) -> None:
        """Renew what names this place and this platform; the rest is left as it is.

        Raises StoreFullError.
        """
        with oci.room_needed("the environment"):
            skeleton.make(self.env, self.env, self._base)
            skeleton.make_kernel(self._jupyter, self.env)

    def restore(
        self, store: oci.LayoutStore, digest: str, progress: Progress | None = None
    ) -> None:
        """Replace the environment by another, as a whole. What it held must be saved before.

        Raises OciError; the environment is then as it was. A restore that is cut off at any point
        leaves either the old environment or the new one, and a note that it is to be restored.
        """
        total = oci.load_image(store, digest).size
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        oci.clean(self.root)
        with oci.room_needed("the environment"):
            self._note(digest)
        try:
            unpacked = oci.unpack(
                store,
                digest,
                self.env,
                finish=lambda temporary, final: skeleton.make(temporary, final, self._base),
                limits=self._limits,
                progress=(lambda done: progress(done, total)) if progress is not None else None,
            )
        except oci.OciError:
            self._restoring.unlink()  # nothing was touched
            raise
        unpacked.index.save(self._index)
        with oci.room_needed("the environment"):
            skeleton.make_kernel(self._jupyter, self.env)
        self._restoring.unlink()

    def changed(self) -> oci.Changes:
        """What changed since it was last saved or restored, without bytecode."""
        index = self._known()
        return policy.significant(
            oci.changes(self.env, since=index, exclude=self._exclude, limits=self._limits)
        )

    def installed(self, *, with_files: bool = True) -> changes.Installed:
        """The packages of its own."""
        folder = skeleton.site_packages(self.env, self._base)
        return changes.installed(self.env, folder, with_files=with_files)

    def save(
        self,
        store: oci.LayoutStore,
        base: str,
        name: str,
        *,
        created: datetime,
        most_layers: int,
        room: int | None = None,
        progress: Progress | None = None,
        publishing: Callable[[], None] = lambda: None,
    ) -> Saved | None:
        """Put what changed into the store as an image called `name`; None where nothing changed.

        Live too: what changes while it is read is read once more. Raises OciError, QuotaError where
        there is more than `room` bytes; the directory and what was saved of it are then as they were.
        """
        since = self._since(store, most_layers)
        found = self._found(since)
        if room is not None and found.size > room:
            since = self._since(store, _STACKED_MOST)
            found = self._found(since)
            if found.size > room and policy.significant(found).files:
                raise _over_quota(found.size, room)
        if since is not None and not policy.significant(found).files:
            return None
        total = found.size
        parent = since.image if since is not None else base
        told = (lambda done: progress(min(done, total), total)) if progress is not None else None
        source, layer = self._layer(store, since, told)
        publishing()
        image = oci.append_layer(store, parent, layer, name=name, created=created)
        added = layer.descriptor.size
        if layer.torn:
            source, again = self._layer(store, source.index(image=image.digest), None)
            if again.entries:
                image = oci.append_layer(store, image.digest, again, name=name, created=created)
                added += again.descriptor.size
                layer = again
        before = self.digest() or base
        source.index(image=image.digest).save(self._index)
        stored = oci.load_image(store, image.digest)
        saved = self._described(stored, before, added, layer.left_out, layer.torn)
        return replace(saved, added=total)

    def as_saved(self, store: oci.LayoutStore, parent: str | None) -> Saved | None:
        """The environment that the directory is at, described anew; None where that is unknown."""
        digest = self.digest()
        if digest is None:
            return None
        image = oci.load_image(store, digest)
        return self._described(image, parent or digest, image.manifest.layers[-1].size, (), ())

    def _layer(
        self,
        store: oci.LayoutStore,
        since: oci.Index | None,
        progress: Callable[[int], None] | None,
    ) -> tuple[oci.DirectorySource, oci.LayerResult]:
        source = oci.DirectorySource(
            self.env,
            since=since,
            exclude=self._exclude,
            rewrite=Relocation(self.env),
            owner=(0, 0),
            limits=self._limits,
        )
        return source, oci.write_layer(source, store, progress=progress, limits=self._limits)

    def _described(
        self,
        image: oci.Image,
        parent: str,
        added: int,
        not_saved: Sequence[oci.LeftOut],
        torn: Sequence[bytes],
    ) -> Saved:
        everything = policy.significant(
            oci.changes(self.env, exclude=self._exclude, limits=self._limits)
        )
        installed = self.installed()
        left_out = [
            (oci.shown(item.path), item.reason)
            for item in not_saved
            if item.reason != policy.MADE_ANEW
        ]
        left_out += [
            (source, f"the source of {name}, installed as editable, stays where it is")
            for name, source in installed.editable.items()
        ]
        return Saved(
            digest=image.digest,
            parent=parent,
            layer_size=added,
            size=image.size,
            changes=changes.describe(everything, installed, base=self._base.packages, before=None),
            packages=dict(installed.versions),
            left_out=left_out,
            layers={layer.digest: layer.size for layer in image.manifest.layers},
            made_for=made_for(image.config),
            secrets=[oci.shown(c.path) for c in everything.added if likely_secret(c.path)],
            torn=[oci.shown(path) for path in torn],
        )

    def discard(self) -> None:
        """Give up the environment with all that is unsaved; the next start restores one.

        `oci.clean` removes what is left of it, and so does that start.
        """
        if self.env.is_dir():
            self.env.rename(self.root / f".env.new-{secrets.token_hex(8)}")  # as a restore cut off
        self._index.unlink(missing_ok=True)

    def _found(self, since: oci.Index | None) -> oci.Changes:
        return oci.changes(self.env, since=since, exclude=self._exclude, limits=self._limits)

    def _since(self, store: oci.LayoutStore, most_layers: int) -> oci.Index | None:
        """The index to save against; None to save everything anew over the base."""
        index = self._known()
        if index is None:
            return None
        try:
            image = oci.load_image(store, index.image)
        except oci.OciError:
            return None  # its parent is gone or damaged: the directory itself has everything
        if len(image.manifest.layers) > most_layers:
            return None if self.changed().files else index
        return index

    def _known(self) -> oci.Index | None:
        try:
            return oci.Index.load(self._index)
        except oci.IndexFileError:
            return None

    def _exclude(self, path: bytes) -> str | None:
        if path in policy.PIP_PATHS and self._is_ours(path):
            return policy.MADE_ANEW
        return policy.left_out(path)

    def _is_ours(self, path: bytes) -> bool:
        """Whether it is our pip wrapper, or gone: then it comes back with the next restore."""
        script = self.env / os.fsdecode(path)
        found = read_bounded(script, 0, len(skeleton.PIP))
        if found is None:
            return not os.path.lexists(script)
        return found == (skeleton.PIP, len(skeleton.PIP))

    def _note(self, digest: str) -> None:
        draft = self._restoring.with_name(".restoring.draft")
        with draft.open("w") as file:
            file.write(digest)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._restoring)


def _over_quota(needed: int, room: int) -> QuotaError:
    return QuotaError(
        f"It has {words.size(needed)} to save, and {words.size(room)} are left of your quota.",
        hint="Delete or unpin checkpoints that you no longer need, or remove files.",
    )
