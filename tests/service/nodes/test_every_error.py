"""Every way in which a save can end badly: the API, the panel and the log say what, why and what to do."""

from __future__ import annotations

import ast
import importlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getsource
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from atoll import agent, oci
from atoll.agent import errors, outcome, translated
from atoll.agent.process import Agent, Service
from atoll.agent.work import Work
from atoll.checkpoints import client, node_queue, node_results
from atoll.checkpoints.models import Changes, Checkpoint, CheckpointStatus
from atoll.checkpoints.node_models import ImageSaved, LookOrder
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings
from atoll.kit import errors as kit
from atoll.kit.home import Home
from atoll.oci import errors as images
from atoll.oci import registry_errors as registries

from ..whole import no_flights, whole_service
from .cluster import NODE, ROOT, Cluster, eventually

FAILED, REFUSED = CheckpointStatus.FAILED, CheckpointStatus.REFUSED
ENDS: Final[dict[type[Exception], tuple[str, CheckpointStatus]]] = {
    errors.AmbiguousError: ("container_ambiguous", FAILED),
    errors.BaseGoneError: ("base_gone", FAILED),
    errors.BusyError: ("save_running", FAILED),
    errors.ContainerRemovedError: ("container_removed", FAILED),
    errors.ContainerRunningError: ("container_running", FAILED),
    errors.FreezeError: ("freeze_failed", FAILED),
    errors.NoContainerError: ("container_not_found", FAILED),
    errors.NotOursError: ("container_not_ours", FAILED),
    errors.RootlessError: ("store_rootless", FAILED),
    errors.RuntimeUnavailableError: ("runtime_unavailable", FAILED),
    errors.SecretsError: ("secrets_found", REFUSED),
    errors.SnapshotterError: ("snapshotter_unsupported", FAILED),
    images.DigestError: ("image_failed", FAILED),
    images.IndexFileError: ("image_failed", FAILED),
    images.InvalidImageError: ("image_failed", FAILED),
    images.LimitError: ("too_large", REFUSED),
    images.MissingError: ("not_found", FAILED),
    images.OciError: ("image_failed", FAILED),
    images.SourceError: ("image_failed", FAILED),
    images.StoreFullError: ("disk_full", FAILED),
    images.TooSlowError: ("unavailable", FAILED),
    images.UnreadableError: ("disk_damaged", FAILED),
    translated.DamagedError: ("disk_damaged", FAILED),
    images.UnsafeLayerError: ("image_failed", FAILED),
    kit.AtollError: ("internal", FAILED),
    kit.ConflictError: ("conflict", FAILED),
    kit.ForbiddenError: ("forbidden", FAILED),
    kit.FullError: ("disk_full", FAILED),
    kit.InvalidError: ("invalid", FAILED),
    kit.NotFoundError: ("not_found", FAILED),
    kit.TooLargeError: ("too_large", REFUSED),
    kit.UnauthenticatedError: ("unauthenticated", FAILED),
    kit.UnavailableError: ("unavailable", FAILED),
    registries.DeniedError: ("forbidden", FAILED),
    registries.RegistryAwayError: ("unavailable", FAILED),
    registries.RegistryError: ("image_failed", FAILED),
    registries.UnsupportedError: ("image_failed", FAILED),
    registries.UploadLostError: ("image_failed", FAILED),
    translated.ImageError: ("image_failed", FAILED),
    ValueError: ("internal", FAILED),  # a bug, whichever it is
}
"""What a save may end with: the code, and what becomes of a checkpoint that its user asked for."""
CANCELLED: Final = {images.CancelledError}
"""What is no failure: a test of its own has it."""
ELSEWHERE: Final = {
    "agent_away": "an agent fell silent: test_bad_days",
    "agent_ended": "an agent was told to end: test_ending",
    "cancelled": "its user did not want it any more: below",
    "image_wrong": "an agent told of what is not in the registry: below",
    "internal": "a bug: above",
    "quota_exceeded": "no room is left for its user: below",
    "result_refused": "the service takes no such result: below",
}
"""Reasons that no error's class has."""
GENERAL: Final = {"conflict", "invalid", "unauthenticated"}
"""Codes of which nothing more is known than what the error itself says."""
WHAT: Final = "Here it says what happened, and why."
WHAT_TO_DO: Final = "Here it says what to do."


NOWHERE: Final = ImageSaved(outcome="saved", digest="sha256:" + "0" * 64, added=1)
"""Of an image that is not there."""
UNTAKEN: Final = {
    "too long": (NOWHERE.model_copy(update={"torn": ["x" * 4096] * 1100}), "larger than 4.2 MB"),
    "of a later version": (NOWHERE.model_copy(update={"added": 128}), "result.saved.added"),
}
"""What an agent may tell that the service does not take, and what that says of it."""


class Failing:
    """A saver of containers that end so."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.told = NOWHERE

    def save(self, work: Work) -> ImageSaved:
        if self.error is None:
            return self.told
        raise self.error

    def look(self, order: LookOrder) -> Changes:
        raise errors.NoContainerError(order.container)


@contextmanager
def service(home: Home, saver: Failing, *, quota: int = 0) -> Iterator[Cluster]:
    """The service and an agent that saves nothing."""
    nodes = NodeSettings(name=NODE, look_every_s=3600)
    checkpoints = CheckpointSettings(most_user_bytes=quota)
    with no_flights(), whole_service(home, nodes=nodes, checkpoints=checkpoints) as url:
        cluster = Cluster(home, f"{url}/api/v1/")
        asked, ending = Service(cluster.url, home.secrets / "agent-token"), threading.Event()
        thread = threading.Thread(target=Agent(NODE, asked, saver, ending, wait_s=1).run)
        thread.start()
        yield cluster
        ending.set()
        thread.join(20)
        asked.close()
        cluster.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def saver() -> Failing:
    return Failing()


@pytest.fixture(scope="module")
def there(saver: Failing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with service(Home(tmp_path_factory.mktemp("ends") / "home"), saver) as found:
        yield found


@pytest.fixture
def ends(there: Cluster, saver: Failing, caplog: pytest.LogCaptureFixture) -> Ends:
    caplog.set_level(logging.INFO)
    return Ends(there, saver, caplog)


class Ends:
    """A server whose save ends badly, and who says what of it."""

    number = 0

    def __init__(self, cluster: Cluster, saver: Failing, log: pytest.LogCaptureFixture) -> None:
        self.cluster, self.saver, self.log = cluster, saver, log
        Ends.number += 1
        self.name = f"s{Ends.number}"
        cluster.start(name=self.name)

    def asked(self, error: Exception | None) -> Checkpoint:
        """Its user wants it saved."""
        self.saver.error = error
        return self.cluster.final(self.cluster.save(name=self.name).id)

    def stopped(self, error: Exception | None, reason: str) -> str:
        """It is stopped; what is said of that while it is not saved."""
        self.saver.error = error
        self.cluster.end(name=self.name)
        server = eventually(
            lambda: self.cluster.server(name=self.name), lambda found: found.reason == reason
        )
        self.cluster.send(client.discard("ada", self.name))
        return str(server.message)

    def logged(self, id_: str, logger: str, code: str) -> str:
        """The one line of a log about the checkpoint's end."""
        [line] = [
            one.getMessage()
            for one in self.log.records
            if one.name == logger
            and getattr(one, "checkpoint", None) == id_
            and getattr(one, "code", None) == code
        ]
        return line


def in_the_panel(checkpoint: Checkpoint) -> str:
    """What the lab's panel shows: the message, without `Not saved: `, whatever its code is.

    Only of what waits in line it shows none while it waits.
    """
    source = (ROOT / "extensions/lab/src/checkpoints/model.ts").read_text()
    found = re.search(r"IN_LINE = new Set\(\[(.*?)\]\)", source)
    assert found is not None
    assert checkpoint.reason not in set(re.findall(r"'(\w+)'", found[1]))
    words = (ROOT / "extensions/lab/src/checkpoints/describe.ts").read_text()
    assert "failed.message?.replace(/^Not saved: /, '')" in words
    return str(checkpoint.message).removeprefix("Not saved: ")


@pytest.mark.parametrize("hint", [None, WHAT_TO_DO], ids=["bare", "with a hint"])
@pytest.mark.parametrize("kind", ENDS, ids=lambda kind: kind.__name__)
def test_it_says_what_and_why_and_what_to_do(
    ends: Ends, kind: type[Exception], hint: str | None
) -> None:
    code, status = ENDS[kind]
    known = issubclass(kind, kit.AtollError | images.OciError)
    error = kind(WHAT, hint=hint) if known else kind(WHAT)
    what = WHAT if known else f"The agent met an error of its own ({kind.__name__})."
    what_to_do = (hint if known else None) or outcome.WHAT_TO_DO.get(code, outcome.AGAIN)

    checkpoint = ends.asked(error)

    assert (checkpoint.status, checkpoint.reason) == (status, code)
    assert checkpoint.message == f"Not saved: {what} {what_to_do}"
    assert in_the_panel(checkpoint) == f"{what} {what_to_do}"
    for logger in (outcome.__name__, node_results.__name__):
        assert f"{what} {what_to_do}" in ends.logged(checkpoint.id, logger, code)
    if hint is None:
        return
    said = ends.stopped(error, code)
    assert said == f"Not saved yet: {what} {what_to_do} It is tried again; nothing is lost."


def test_a_quota_that_is_used_up_says_how_much_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saver = Failing()
    with service(Home(tmp_path), saver, quota=1 << 30) as cluster:
        ends = Ends(cluster, saver, caplog)
        checkpoint = ends.asked(images.LimitError("It has 2.0 GB to save."))

    assert (checkpoint.status, checkpoint.reason) == (REFUSED, "quota_exceeded")
    said = in_the_panel(checkpoint)
    assert said.startswith("It has 2.0 GB to save. Of your quota 1.1 GB is left.")
    assert "Delete or unpin checkpoints that you no longer need" in said
    assert "`atoll servers discard`" in said
    for logger in (outcome.__name__, node_results.__name__):
        assert said in ends.logged(checkpoint.id, logger, "quota_exceeded")


def test_what_is_not_wanted_any_more_says_so(ends: Ends) -> None:
    ends.saver.error = images.CancelledError("stopped")
    asked = ends.cluster.save(name=ends.name)
    waiting = eventually(
        lambda: ends.cluster.checkpoint(asked.id), lambda one: one.reason == "agent_ended"
    )
    assert waiting.message == "The node's agent was ended; it is begun anew."
    ends.cluster.send(client.cancel(asked.id))

    cancelled = ends.cluster.final(asked.id)

    assert (cancelled.status, cancelled.reason) == (FAILED, "cancelled")
    assert cancelled.message == "Cancelled."


def test_an_image_that_is_not_there_is_saved_again(ends: Ends) -> None:
    said = ends.stopped(None, "image_wrong")

    assert said.startswith("Not saved yet: the agent's image is not as it should be.")
    assert said.endswith("It is tried again; nothing is lost.")


@pytest.mark.parametrize("which", UNTAKEN)
def test_a_result_that_the_service_does_not_take_is_told_as_a_failure(
    ends: Ends, which: str
) -> None:
    ends.saver.told, why = UNTAKEN[which]
    try:
        checkpoint = ends.asked(None)
        said = ends.stopped(None, "result_refused")
    finally:
        ends.saver.told = NOWHERE

    assert (checkpoint.status, checkpoint.reason) == (FAILED, "result_refused")
    assert why in str(checkpoint.message)
    assert "An administrator" in in_the_panel(checkpoint)
    for logger in (outcome.__name__, node_results.__name__):
        assert in_the_panel(checkpoint) in ends.logged(checkpoint.id, logger, "result_refused")
    assert said.endswith("It is tried again; nothing is lost.")


def test_there_is_a_row_for_every_error_that_a_save_can_end_with() -> None:
    for package in (agent, oci):
        [top] = map(Path, package.__path__)
        for module in top.rglob("*.py"):
            path = module.relative_to(top.parents[1]).with_suffix("")
            importlib.import_module(".".join(path.parts).removesuffix(".__init__"))
    known: list[type[Exception]] = [kit.AtollError, images.OciError]
    for kind in known:  # it grows meanwhile
        known += [one for one in kind.__subclasses__() if one not in known]
    ours = ("atoll.agent.", "atoll.oci.", "atoll.kit.errors")
    raised = {kind for kind in known if kind.__module__.startswith(ours)}
    assert raised == {*ENDS, *CANCELLED} - {ValueError}


def test_there_is_a_row_for_every_reason_that_no_error_has() -> None:
    nodes = importlib.import_module("atoll.checkpoints.nodes")
    said = set().union(*map(reasons, (outcome, node_results))) | {nodes.AWAY}
    assert said == ELSEWHERE.keys()


def test_what_to_do_is_told_for_every_code_that_saves_end_with() -> None:
    assert outcome.WHAT_TO_DO.keys() == {code for code, _ in ENDS.values()} - GENERAL - {"internal"}


def test_operators_find_every_code_in_the_table() -> None:
    page = (ROOT / "docs/operators/checkpoints.md").read_text()
    codes = {code for code, _ in ENDS.values()} | ELSEWHERE.keys()
    assert {code for code in codes - GENERAL if f"`{code}`" not in page} == set()


def test_what_only_waits_in_line_is_not_shown_as_a_failure() -> None:
    turns = set(re.findall(r'"(\w+_\w+)"', getsource(node_queue.turns)))
    source = (ROOT / "extensions/lab/src/checkpoints/model.ts").read_text()
    found = re.search(r"IN_LINE = new Set\(\[(.*?)\]\)", source)
    assert found is not None
    in_line = set(re.findall(r"'(\w+)'", found[1]))
    assert in_line == turns - {"retried_later", "agent_away"}
    assert not in_line & ({code for code, _ in ENDS.values()} | ELSEWHERE.keys())


def reasons(module: ModuleType) -> set[str]:
    """The codes that a module writes out: `code="…"`, and the second argument of `_again` and `end`."""
    assert module.__file__ is not None
    found = set()
    for call in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = [one.value for one in call.keywords if one.arg == "code"]
        given += call.args[1:2] if name == "_again" else []
        found |= {one.value for one in given if isinstance(one, ast.Constant)}
    return {str(one) for one in found} | (
        {"cancelled"} if '"cancelled", "Cancelled."' in getsource(module) else set()
    )
