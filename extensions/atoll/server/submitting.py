"""Submits a notebook from the lab with files that lie beside it: they are captured here, where they are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

from pydantic import BaseModel, Field, JsonValue, ValidationError

from atoll.jobs.capture import capture
from atoll.jobs.models import CAPTURED_COUNT_MOST, JobRequest
from atoll.kit.errors import InvalidError
from atoll.server.passing import PassingHandler

LEFT_OUT: Final = "Atoll-Left-Out"
"""The header of an answer that says, percent-encoded, what of the folders was not captured."""


class Submission(BaseModel):
    """What the run form asks for: a job, and paths from the notebook's folder."""

    job: dict[str, JsonValue]
    files: Annotated[list[str], Field(min_length=1, max_length=CAPTURED_COUNT_MOST)]


class SubmitHandler(PassingHandler):
    """`atoll/submit` → `…/api/v1/jobs`, with the files that the request names."""

    SUPPORTED_METHODS = ("POST",)

    async def _wanted(self) -> tuple[str, bytes]:
        root = Path(self.contents_manager.root_dir)
        content, left_out = await asyncio.to_thread(with_files, bytes(self._body), root)
        if left_out is not None:
            self.set_header(LEFT_OUT, quote(left_out))
        return self._platform.address("jobs"), content


def with_files(body: bytes, root: Path) -> tuple[bytes, str | None]:
    """The request for a job with the files in it, and what people have to know of what was left out.

    Raises InvalidError, TooLargeError.
    """
    try:
        asked = Submission.model_validate_json(body)
        job = JobRequest.model_validate(asked.job)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidError(f"{place}: {first['msg']}.") from error
    found = capture(root, job.folder, asked.files)
    job = job.model_copy(update={"files": found.files})
    job.model_fields_set.add("files")
    return job.model_dump_json(exclude_unset=True).encode(), found.told
