"""What the hub answers while its database is away: "try again", where JupyterHub takes people for strangers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
    TimeoutError,  # noqa: A004  # of a pool that has no connection left
)
from tornado.web import HTTPError

AGAIN_S: Final = 10
"""When clients may ask again, as the answer says."""

_SAID: Final = (
    "The hub's database does not answer, so nobody can be told apart. Servers and jobs go on."
    " Try again in a moment."
)


def away(error: BaseException | None) -> bool:
    """Whether an error means that the database does not answer, rather than a mistake in the asking."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(
        error, OperationalError | InterfaceError | PendingRollbackError | TimeoutError
    )


class DatabaseAway:
    """Mixed into each of JupyterHub's handlers, which would answer 403, the login page, or 500."""

    _jupyterhub_user: Any
    db: Any
    _nobody_found: SQLAlchemyError | None = None

    async def get_current_user(self) -> Any:
        """Who asks. JupyterHub takes an error for nobody: it is kept, to be told."""
        try:
            return await super().get_current_user()  # type: ignore[misc]  # JupyterHub's
        except SQLAlchemyError as error:
            self._nobody_found = error
            raise

    def _resolve_roles_and_scopes(self) -> None:
        """Called by JupyterHub as soon as it knows who asks, before anything is decided by that."""
        super()._resolve_roles_and_scopes()  # type: ignore[misc]  # JupyterHub's
        if self._nobody_found is not None:
            told, self._nobody_found = _told(), None
            raise told

    def send_error(self, status_code: int = 500, **told: Any) -> None:
        """Answer with an error: with 503 where it is the database's."""
        error = told.get("exc_info", (None, None, None))[1]
        if away(error):
            self.db.rollback()
            self._jupyterhub_user = None  # the page shows nobody's name: it would be looked up
            super()._resolve_roles_and_scopes()  # type: ignore[misc]  # the same
            status_code = HTTPStatus.SERVICE_UNAVAILABLE
            told["exc_info"] = (HTTPError, _told(), None)
        super().send_error(status_code, **told)  # type: ignore[misc]  # tornado's


def _told() -> HTTPError:
    error = HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, _SAID)
    error.headers = {"Retry-After": str(AGAIN_S)}  # JupyterHub passes these on
    return error
