"""A start in a cluster that failed: what happened, what it means for the user's work, what to do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from atoll.hub.pod_states import HOLD, NOTEBOOK, Step, Trouble
from atoll.hub.refusal import StartRefused
from atoll.hub.storage import HOME_VOLUME

SAFE: Final = "Your saved environments are safe."
_QUOTA: Final = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.*), used: (?P<used>.*),"
    r" limited: (?P<limited>.*)"
)
_AMOUNT: Final = re.compile(r"(?P<what>[A-Za-z0-9./-]+)=(?P<amount>[0-9.]+)(?P<unit>[A-Za-z]*)")
_UNITS: Final = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTP", start=1)
}
_ARCHITECTURE: Final = re.compile(r"exec format error|no match for platform", re.IGNORECASE)
_CLAIM: Final = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)"', re.IGNORECASE)
_HOME: Final = re.compile(rf'volume "{HOME_VOLUME}"|unmounted volumes=\[{HOME_VOLUME}\]')
_NOT_FOUND: Final = 127  # what a shell ends with
_PROGRAM: Final = re.compile(r"no such file or directory|executable file not found", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried, for the words of a refusal."""

    image: str
    memory: str = ""  # the most it may have, as people read it
    saved_environment: bool = False  # the image is a saved environment
    log: str = ""  # the end of the server's log
    contact: str = ""  # whom a user may ask
    home_claim: str = ""  # the claim with the home, where there is one
    scarce: str = ""  # how the GPUs stand that it asks for, such as `waits: all 2 GPU in use`


def refusal(step: Step, attempt: Attempt, waited_s: float = 0) -> StartRefused:
    """The refusal that this step leads to, once waiting does not help, or took too long."""
    what, todo = _words(step, attempt, waited_s)
    said = f" Kubernetes says: {step.detail.strip()[:800]}" if step.detail else ""
    log = f" The end of its log:\n{attempt.log}" if attempt.log else ""
    reason = str(step.trouble or "timeout")
    status = 500 if step.trouble in (Trouble.ENDED, Trouble.MEMORY) else 503
    return StartRefused(
        f"{what} {SAFE} {todo}{_ask(attempt.contact)}{said}{log}", reason=reason, status=status
    )


def never_answered(attempt: Attempt, waited_s: float) -> StartRefused:
    """A server that runs and does not answer."""
    log = f" The end of its log:\n{attempt.log}" if attempt.log else ""
    return StartRefused(
        f"Your server runs, but did not answer within {waited_s:.0f} s. {SAFE} Start it again, or"
        f" choose an earlier environment or a fresh start.{_ask(attempt.contact)}{log}",
        reason="timeout",
        status=500,
    )


def by_cluster(status: int, words: str, contact: str) -> StartRefused:
    """A pod or a claim that the cluster did not accept."""
    if quota := _QUOTA.search(words):
        return StartRefused(
            f"The quota {quota['name']} of this platform is used up: your server asks for"
            f" {quota['requested']}; used are {quota['used']} of {quota['limited']}. {SAFE} Choose a"
            f" smaller size, or stop a server that you do not need.{_ask(contact)}",
            reason="quota",
            status=429,
        )
    if status == 404:
        what = "The cluster has no place for servers."
    elif "PodSecurity" in words:
        what = "The cluster's security rules do not accept this server."
    else:
        what = "The cluster did not accept this server."
    return StartRefused(
        f"{what} {SAFE} Try another profile; an administrator can correct it.{_ask(contact)}"
        f" Kubernetes says: {words[:800]}",
        reason="cluster_refused",
        status=503,
    )


def without_digest(image: str, contact: str) -> StartRefused:
    """An image of which the node knows no digest: what is saved could not say what it stands on."""
    return StartRefused(
        f"The image {image} has no digest in a registry, so that a server of it could not be saved."
        f" {SAFE} Choose another image or profile.{_ask(contact)}",
        reason="no_digest",
        status=503,
    )


def cluster_away(contact: str) -> StartRefused:
    """Kubernetes itself does not answer."""
    return StartRefused(
        f"The cluster does not answer. {SAFE} Try again in a minute.{_ask(contact)}",
        reason="cluster_away",
        status=503,
    )


def over_quota(words: str) -> bool:
    """Whether these words say that a quota is used up, and waiting may help."""
    found = _QUOTA.search(words)
    if found is None:
        return False
    limits = _amounts(found["limited"])
    return all(
        amount <= limits.get(what, 0) for what, amount in _amounts(found["requested"]).items()
    )


def quota_step(words: str) -> Step:
    """What is told while a quota is waited for."""
    found = _QUOTA.search(words)
    detail = f"{found['used']} of {found['limited']} used" if found else words
    return Step(51, f"waiting for the quota: {detail}", None, words)


def words_of(body: object) -> str:
    """Kubernetes' own sentence in the body of its answer."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        said = json.loads(text)
    except ValueError:
        return text[:800]
    return str(said.get("message") or text)[:2000] if isinstance(said, dict) else text[:800]


def _words(step: Step, attempt: Attempt, waited_s: float) -> tuple[str, str]:
    """What happened, and what to do."""
    everything = f"{step.detail} {attempt.log}"
    if step.container == HOLD and step.trouble is not None:
        return "A part of the platform could not be started beside your server.", (
            "Try again; if it stays so, an administrator must look at it."
        )
    if step.container != NOTEBOOK and step.trouble is not None:
        return f"The container {step.container}, which your server needs, could not be started.", (
            "Try again; if it stays so, an administrator must look at it."
        )
    if _ARCHITECTURE.search(everything):
        return (
            f"The image {attempt.image} was made for another kind of processor than the nodes'.",
            ("Choose another profile or image."),
        )
    lacking = step.exit_code == _NOT_FOUND or _PROGRAM.search(step.detail)
    if step.trouble in (Trouble.ENDED, Trouble.CONFIGURATION) and lacking:
        return f"The image {attempt.image} lacks the program that a server needs.", (
            "Choose another image: it must have /opt/atoll/bin/jupyterhub-singleuser."
        )
    if step.trouble is None or step.trouble not in _TOLD:
        return f"Your server was not ready after {waited_s:.0f} s.", "Start it again."
    return _TOLD[step.trouble](step, attempt, waited_s)


def _no_node(step: Step, attempt: Attempt, waited_s: float) -> tuple[str, str]:
    waited = f" within {waited_s:.0f} s" if waited_s else ""
    scarce = attempt.scarce.removeprefix("waits: ").removeprefix("cannot start: ")
    gpus = f" GPUs: {scarce}." if scarce else ""
    return f"No node had room for your server{waited}: {step.message.partition(': ')[2]}.{gpus}", (
        "Choose a smaller size or another profile, or try again later."
    )


def _volume(step: Step, attempt: Attempt, waited_s: float) -> tuple[str, str]:
    named = _CLAIM.search(step.detail)
    if _HOME.search(step.detail) or (named and named["name"] == attempt.home_claim):
        what = "The volume with your home"
    elif named:
        what = f"The volume of the claim {named['name']}, which your server needs,"
    else:
        what = "A volume that your server needs"
    return f"{what} was not there within {waited_s:.0f} s.", (
        "Your home is not touched. Try again; if it stays so, an administrator must look at it."
    )


def _pull(_step: Step, attempt: Attempt, waited_s: float) -> tuple[str, str]:
    return (
        f"The registry did not answer for {waited_s:.0f} s, so {attempt.image} could not be pulled.",
        "Try again later, or start fresh, where the node has that image already.",
    )


def _image(_step: Step, attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    return f"The image {attempt.image} cannot be pulled.", "Choose another image or profile."


def _configuration(_step: Step, attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    return f"The node could not make a container of {attempt.image}.", (
        "Choose another image or profile; an administrator can correct this one."
    )


def _memory(_step: Step, attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    limit = f" than its {attempt.memory}" if attempt.memory else " than it may have"
    return f"Your server needed more memory{limit} while it was starting.", "Choose a larger size."


def _ended(step: Step, _attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    return f"Your server ended while it was starting (exit status {step.exit_code}).", (
        "Start it again, or choose an earlier environment or a fresh start."
    )


def _rejected(_step: Step, _attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    return "The node turned your server down before it began.", "Start it again."


def _deleted(_step: Step, _attempt: Attempt, _waited_s: float) -> tuple[str, str]:
    return "Your server's pod was deleted while it was starting.", "Start it again."


_TOLD: Final = {
    Trouble.NO_NODE: _no_node,
    Trouble.VOLUME: _volume,
    Trouble.PULL: _pull,
    Trouble.IMAGE: _image,
    Trouble.CONFIGURATION: _configuration,
    Trouble.MEMORY: _memory,
    Trouble.ENDED: _ended,
    Trouble.REJECTED: _rejected,
    Trouble.DELETED: _deleted,
}


def _amounts(text: str) -> dict[str, float]:
    return {
        found["what"]: float(found["amount"]) * _UNITS.get(found["unit"], 1.0)
        for found in _AMOUNT.finditer(text)
    }


def _ask(contact: str) -> str:
    return f" Ask {contact}." if contact else ""
