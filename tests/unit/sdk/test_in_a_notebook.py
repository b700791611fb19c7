"""What things look like in a notebook: tables and facts, with every text escaped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from atoll.checkpoints import handle as checkpoint_handle
from atoll.checkpoints.models import Changes, Checkpoint, CheckpointStatus, Package, Trigger
from atoll.datasets import handle as dataset_handle
from atoll.datasets.models import Column, Dataset, DatasetId, DatasetStatus, PartitionKey, Preview
from atoll.jobs import handle as job_handle
from atoll.jobs.models import Failure, Job, JobId, JobStatus, JobTarget, Step
from atoll.kit.errors import NotFoundError
from atoll.kit.http import Call, Connection, T
from atoll.kit.notebook import Text

EVIL = "<script>alert(1)</script>"
NOW = datetime.now(UTC)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Answers nothing: what is shown here must not ask."""
    with Connection("http://127.0.0.1:9/", "none") as nowhere:
        yield nowhere


def job(status: JobStatus = JobStatus.SUCCEEDED, **values: object) -> Job:
    known: dict[str, object] = {
        "id": JobId("j-1"),
        "name": "report.ipynb",
        "user": "ada",
        "target": JobTarget.DONE,
        "status": status,
        "timeout_s": 60,
        "created_at": NOW,
    }
    return Job.model_validate({**known, **values})


def dataset(**values: object) -> Dataset:
    known: dict[str, object] = {
        "id": DatasetId("d-1"),
        "name": "flights",
        "owner": "",
        "status": DatasetStatus.READY,
        "created_at": NOW,
    }
    return Dataset.model_validate({**known, **values})


def test_everything_that_people_typed_is_escaped(connection: Connection) -> None:
    saved = Checkpoint(
        id="c-1",
        user="ada",
        server="",
        trigger=Trigger.USER,
        note=EVIL,
        message=EVIL,
        status=CheckpointStatus.READY,
        created_at=NOW,
    )
    shown = [
        job_handle.Job(connection, job(name=EVIL, message=EVIL, parameters={EVIL: EVIL})),
        job_handle.listing(connection, [job(name=EVIL)]),
        dataset_handle.Dataset(
            connection,
            dataset(
                description=EVIL,
                columns=[Column(name=EVIL, type=EVIL)],
                partitions=[PartitionKey(name=EVIL, values=[EVIL])],
            ),
        ),
        dataset_handle.listing(connection, [dataset(name=EVIL)]),
        dataset_handle.Preview(
            Preview(columns=[Column(name=EVIL, type="VARCHAR")], rows=[[EVIL]], sampled=1)
        ),
        checkpoint_handle.Checkpoint(connection, saved),
        checkpoint_handle.listing(connection, [saved]),
    ]
    for thing in shown:
        html = thing._repr_html_()
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (job(JobStatus.SUCCEEDED), "succeeded"),
        (job(JobStatus.RUNNING, step=Step(cell=3, cells=12)), "running, cell 3 of 12"),
        (
            job(JobStatus.QUEUED, position=2, message="Both places are taken."),
            "queued: Both places are taken. (number 2 in 'default')",
        ),
        (
            job(JobStatus.FAILED, failure=Failure(cell=4, name="KeyError", value="'dest'")),
            "failed: cell 4: KeyError 'dest'",
        ),
        (job(JobStatus.FAILED, message="It took too long."), "failed: It took too long."),
    ],
)
def test_how_a_job_stands_is_one_sentence(found: Job, sentence: str) -> None:
    assert job_handle.sentence(found) == sentence


def test_an_empty_list_says_what_to_do(connection: Connection) -> None:
    assert "atoll.submit" in job_handle.listing(connection, [])._repr_html_()
    assert "atoll.checkpoint()" in checkpoint_handle.listing(connection, [])._repr_html_()


def test_a_colleagues_dataset_is_named_with_its_owner() -> None:
    assert dataset_handle.reference(dataset()) == "flights"
    assert dataset_handle.reference(dataset(owner="bo")) == "bo:flights"


def test_a_preview_prints_in_columns() -> None:
    columns = [Column(name="a", type="BIGINT"), Column(name="long", type="VARCHAR")]
    preview = dataset_handle.Preview(
        Preview(columns=columns, rows=[[1, None], [22, "x"]], sampled=2)
    )
    assert repr(preview) == " a  long\n 1      \n22     x"
    assert len(preview) == 2


def test_changes_of_packages_are_told_in_a_few_signs() -> None:
    told = [
        checkpoint_handle.package(change)
        for change in (
            Package(name="a", after="1"),
            Package(name="b", before="1"),
            Package(name="c", before="1", after="2"),
        )
    ]
    assert told == ["+ a 1", "- b 1", "↑ c 1 → 2"]
    assert Changes(packages=[Package(name="a", after="1")]).count == 1


def test_the_text_of_an_output_notebook_is_what_its_cells_showed() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "3", "text/html": "<b>3</b>"}},
        {"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []},
    ]
    notebook = job_handle.OutputNotebook(
        {"cells": [{"cell_type": "code", "outputs": outputs}, {"cell_type": "markdown"}]}
    )
    assert notebook.text == "one\ntwo\n3"
    assert isinstance(notebook.text, Text)


class Datasets(Connection):
    """Knows one dataset."""

    def send(self, call: Call[T]) -> T:
        if call.path != "datasets/ds-1":
            raise NotFoundError("There is no such dataset.")
        return call.into(name="flights")


def test_the_datasets_that_a_job_read_are_told_by_their_names() -> None:
    found = job(datasets=["ds-1", "ds-2"])
    with Datasets("http://127.0.0.1:9/", "none") as datasets:
        names = job_handle.dataset_names(datasets, found)
    assert names == ["flights", "ds-2"], "one that is gone has no name"
    assert ("Datasets read", "flights, ds-2") in job_handle.described(found, names)
