"""What there is to tell of a save that is over: its image, or why there is none and what to do."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Final

from atoll import oci
from atoll.agent.errors import ContainerRemovedError, NoContainerError, SecretsError
from atoll.agent.translated import as_atoll
from atoll.checkpoints.node_models import ImageSaved, NotSaved, SaveOrder
from atoll.kit import words
from atoll.kit.errors import AtollError, TooLargeError

log = logging.getLogger(__name__)

_GONE: Final = (NoContainerError, ContainerRemovedError)
_TOO_LARGE: Final = (oci.LimitError, TooLargeError)
_REFUSED: Final = (*_TOO_LARGE, SecretsError)
_LONGEST: Final = 2000
AGAIN: Final = (
    "Save again; if it stays so, an administrator finds more in the log of the node's agent."
)
WHAT_TO_DO: Final = {
    "base_gone": "Have the container's image pushed to its registry, or pulled on the node again.",
    "container_ambiguous": "Tell an administrator: the platform names containers by whole ids.",
    "container_not_found": "What was saved before is safe; start again from it.",
    "container_not_ours": "Tell an administrator: it is not what the platform started.",
    "container_removed": "What was saved before is safe; start again from it.",
    "container_running": "Wait until it has ended.",
    "disk_damaged": "An administrator looks at the node's disk; or discard what is not saved.",
    "disk_full": "Have an administrator make room in the registry or on the node.",
    "forbidden": "Have an administrator look at the registry's settings of the platform.",
    "freeze_failed": "Save again when less goes on in it, or stop it: then nothing is frozen.",
    "image_failed": AGAIN,
    "not_found": "Save again: something was deleted meanwhile.",
    "runtime_unavailable": "An administrator looks at the node's container runtime.",
    "save_running": "Wait until that is done.",
    "secrets_found": "Remove what it names, or keep the image to yourself.",
    "snapshotter_unsupported": "Have an administrator set up overlayfs on the node.",
    "store_rootless": "Have an administrator run the container store as root.",
    "too_large": "Delete what is not needed, or have an administrator raise the limit.",
    "unavailable": "An administrator looks at the registry and at the network to it.",
}
"""What people do about a save that ended with this code, where the error itself does not say."""


def outcome(saving: Future[ImageSaved], order: SaveOrder) -> ImageSaved | NotSaved:
    """How a save ended; why it did not end well is in the log, too."""
    error = saving.exception()
    if error is None:
        return saving.result()
    return _logged(_not_saved(error, order), order)


def not_taken(error: AtollError, order: SaveOrder) -> NotSaved:
    """What is told, and logged, in place of a result that the service does not take."""
    told = NotSaved(
        outcome="failed",
        code="result_refused",
        message="The service does not take what the node's agent tells of the save: "
        + error.detail[: _LONGEST // 2],
        hint="An administrator looks whether the agents are as new as the service, and whether a"
        " proxy between them limits what is sent.",
    )
    return _logged(told, order)


def _logged(told: NotSaved, order: SaveOrder) -> NotSaved:
    about = {"checkpoint": order.checkpoint, "code": told.code}
    log.log(
        logging.INFO if told.outcome == "cancelled" else logging.WARNING,
        "%s is not saved: %s %s", order.container, told.message, told.hint or "",
        extra=about,
    )  # fmt: skip
    return told


def _not_saved(error: BaseException, order: SaveOrder) -> NotSaved:
    if isinstance(error, oci.CancelledError):
        return NotSaved(outcome="cancelled", code="cancelled", message="It was cancelled.")
    room = order.limits.room
    if isinstance(error, _TOO_LARGE) and room is not None and room < order.limits.size:
        left = f"Of your quota {words.size(room)} is left."
        return NotSaved(
            outcome="refused",
            code="quota_exceeded",
            message=f"{error.detail[:1000]} {left}",
            hint="Delete or unpin checkpoints that you no longer need, or give up what a stopped server"
            " has not saved: `atoll checkpoints delete`, `atoll servers discard`.",
        )
    known = as_atoll(error) if isinstance(error, oci.OciError) else error
    if not isinstance(known, AtollError):
        log.error("%s: a bug", order.checkpoint, exc_info=error)
        message = f"The agent met an error of its own ({type(error).__name__})."
        return NotSaved(outcome="failed", code="internal", message=message, hint=AGAIN)
    return NotSaved(
        outcome="refused" if isinstance(error, _REFUSED) else "failed",
        code=known.code,
        message=known.detail[:_LONGEST],
        hint=(known.hint or WHAT_TO_DO.get(known.code, AGAIN))[:_LONGEST],
        retry=not isinstance(known, _GONE),
    )
