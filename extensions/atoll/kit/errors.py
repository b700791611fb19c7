"""Errors that speak: each class carries its HTTP status and code, and crosses the wire as problem+json."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel


class Problem(BaseModel):
    """The body of every error, `application/problem+json` (RFC 9457)."""

    type: str = "about:blank"
    status: int
    code: str
    title: str
    detail: str
    hint: str | None = None


class AtollError(Exception):
    """Something went wrong that a person should be told: what (`detail`) and what to do (`hint`)."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong inside the platform"

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}" if self.hint else self.detail

    @property
    def while_retried(self) -> str:
        """What to tell while it is tried again by itself; what to do is left out where that is all."""
        return str(self)

    def problem(self) -> Problem:
        """This error as it crosses the wire."""
        return Problem(
            status=self.status, code=self.code, title=self.title, detail=self.detail, hint=self.hint
        )


class InvalidError(AtollError):
    """The request says something that cannot be."""

    status, code, title = 422, "invalid", "The request is not valid"


class UnauthenticatedError(AtollError):
    """Nobody is known by this token."""

    status, code, title = 401, "unauthenticated", "Log in first"


class ForbiddenError(AtollError):
    """The caller is known and may not do this."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFoundError(AtollError):
    """There is no such thing, or none that the caller may know of."""

    status, code, title = 404, "not_found", "Not found"


class ConflictError(AtollError):
    """The thing is in a state in which this cannot be done."""

    status, code, title = 409, "conflict", "Not possible in this state"


class TooLargeError(AtollError):
    """More than a limit allows."""

    status, code, title = 413, "too_large", "Too large"


class FullError(AtollError):
    """The disk has no room left."""

    status, code, title = 507, "disk_full", "The disk is full"


class UnavailableError(AtollError):
    """A part that is needed does not answer; trying again later may help."""

    status, code, title = 503, "unavailable", "Not available right now"

    @property
    def while_retried(self) -> str:
        """Its hints say that it is tried again, or what an administrator may look at."""
        return self.detail


_BY_CODE: dict[str, type[AtollError]] = {
    error.code: error
    for error in (
        AtollError,
        InvalidError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        ConflictError,
        TooLargeError,
        FullError,
        UnavailableError,
    )
}


def from_problem(problem: Problem) -> AtollError:
    """The error that a problem describes; an unknown code becomes a plain `AtollError`."""
    return _BY_CODE.get(problem.code, AtollError)(problem.detail, hint=problem.hint)
