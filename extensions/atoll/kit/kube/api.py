"""Calls of a cluster's API: blocking, for threads; errors in the platform's own classes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import httpx

from atoll.kit.errors import AtollError, ConflictError, NotFoundError, UnavailableError
from atoll.kit.kube.access import Access
from atoll.kit.loops import back_off

Body = Mapping[str, Any]
"""An object of Kubernetes, as JSON."""

_PATIENCE_S: Final = 5.0  # for an API server that is restarted, or asks for patience
_KINDS: Final = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_BUSY: Final = frozenset({429, 500, 502, 503, 504})


class KubeNotFoundError(NotFoundError):
    """The cluster has no such object."""


class KubeConflictError(ConflictError):
    """The object is there already, or is another one than was meant."""


class KubeRefusedError(AtollError):
    """Kubernetes will not do it; `detail` is its own word."""

    status, code, title = 422, "cluster_refused", "The cluster refused"


class KubeApi:
    """The API server as `access` reaches it. Raises the errors above, and UnavailableError.

    What a busy or absent server did not answer is asked again for `patience_s`: every call here can
    be repeated, since objects have names and deletes name a UID.
    """

    def __init__(self, access: Access, *, patience_s: float = _PATIENCE_S) -> None:
        self._access = access
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=access.url,
            verify=access.tls,
            timeout=httpx.Timeout(30.0, connect=3.0),
            trust_env=False,  # no network proxy sees the token
        )

    def get(
        self, path: str, params: Mapping[str, str] | None = None, *, within_s: float | None = None
    ) -> dict[str, Any]:
        """An object, or a list; asked for once alone where `within_s` says how long it may take."""
        once = {} if within_s is None else {"timeout": within_s}
        return self._json("GET", path, params=params, **once)

    def create(self, path: str, body: Body) -> dict[str, Any]:
        """The object as it was made. Raises KubeConflictError where one of its name is there."""
        return self._json("POST", path, json=body)

    def patch(
        self,
        path: str,
        body: Body | list[Body],
        kind: Literal["merge", "strategic", "json"] = "merge",
    ) -> dict[str, Any]:
        """The object after the change."""
        return self._json("PATCH", path, json=body, headers={"Content-Type": _KINDS[kind]})

    def delete(self, path: str, *, uid: str | None = None, grace_s: int | None = None) -> None:
        """Have the object deleted; done where there is none. With `uid`, this very object alone.

        Raises KubeConflictError where another object has the name by now.
        """
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self._json("DELETE", path, json=options)
        except KubeNotFoundError:
            return

    def text(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """What is no JSON, such as a log."""
        return self._send("GET", path, params=params).text

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _json(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, path, **rest).json()
        return found

    def _send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {**rest.pop("headers", {}), **self._access.headers()}
        deadline = time.monotonic() + (0.0 if "timeout" in rest else self._patience_s)
        failures = 0
        while True:
            failures += 1
            problem: Exception
            try:
                response = self._http.request(method, path, headers=headers, **rest)
            except httpx.HTTPError as error:
                problem = UnavailableError(f"Kubernetes does not answer ({type(error).__name__}).")
                problem.__cause__ = error
            else:
                if response.status_code not in _BUSY:
                    return _checked(response)
                problem = UnavailableError(
                    f"Kubernetes is busy ({response.status_code}): {_words(response)}"
                )
            pause = back_off(failures)
            if time.monotonic() + pause > deadline:
                raise problem
            time.sleep(pause)


def _checked(response: httpx.Response) -> httpx.Response:
    if not response.is_error:
        return response
    words = _words(response)
    if response.status_code == 404:
        raise KubeNotFoundError(words)
    if response.status_code == 409:
        raise KubeConflictError(words)
    raise KubeRefusedError(words)


def _words(response: httpx.Response) -> str:
    """Kubernetes' own sentence."""
    try:
        said = response.json()
    except ValueError:
        return f"it answered {response.status_code}."
    message = said.get("message") if isinstance(said, dict) else None
    return str(message or f"it answered {response.status_code}.")[:2000]
