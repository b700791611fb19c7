"""Kubernetes is asked whose pod a token is, and believed in nothing but what it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from atoll.checkpoints.agents import NODE_NAME, Nobody, TokenFile, TokenReview, authenticator
from atoll.checkpoints.settings import NodeSettings
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home

TOKEN = "eyJ.made.up"


class Kubernetes:
    """A small API server: answers token reviews with what a test says."""

    def __init__(self) -> None:
        self.status: dict[str, object] = review()
        self.code = 201
        self.asked: list[dict[str, object]] = []
        self.authorization = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/apis/authentication.k8s.io/v1/tokenreviews"
        self.asked.append(json.loads(request.content))
        self.authorization = request.headers["Authorization"]
        return httpx.Response(self.code, json={"kind": "TokenReview", "status": self.status})


def review(**changes: object) -> dict[str, object]:
    user = {
        "username": "system:serviceaccount:atoll:agent",
        "extra": {NODE_NAME: ["node-7"], "authentication.kubernetes.io/pod-name": ["agent-x"]},
    }
    return {"authenticated": True, "audiences": ["atoll-agent"], "user": user, **changes}


@pytest.fixture
def kubernetes() -> Kubernetes:
    return Kubernetes()


@pytest.fixture
def agents(kubernetes: Kubernetes, tmp_path: Path) -> TokenReview:
    own = tmp_path / "token"
    own.write_text("service-token\n")
    settings = NodeSettings(service_account="atoll:agent", api_token=own)
    return TokenReview(settings, transport=httpx.MockTransport(kubernetes))


async def test_a_pods_token_names_its_node(agents: TokenReview, kubernetes: Kubernetes) -> None:
    assert await agents.node(TOKEN) == "node-7"
    assert kubernetes.asked[0]["spec"] == {"token": TOKEN, "audiences": ["atoll-agent"]}
    assert kubernetes.authorization == "Bearer service-token"


async def test_the_answer_is_remembered_for_a_while_and_a_refusal_never(
    kubernetes: Kubernetes, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("x")
    now = [0.0]
    settings = NodeSettings(service_account="atoll:agent", api_token=tmp_path / "token")
    transport = httpx.MockTransport(kubernetes)
    agents = TokenReview(settings, clock=lambda: now[0], transport=transport)
    kubernetes.status = review(authenticated=False)
    assert await agents.node(TOKEN) is None
    kubernetes.status = review()
    assert await agents.node(TOKEN) == "node-7"
    assert await agents.node(TOKEN) == "node-7"
    assert len(kubernetes.asked) == 2
    now[0] = 11.0
    kubernetes.status = review(authenticated=False)
    assert await agents.node(TOKEN) is None


@pytest.mark.parametrize(
    "status",
    [
        review(authenticated=False),
        review(audiences=["https://kubernetes.default.svc"]),
        review(audiences=[]),
        review(
            user={"username": "system:serviceaccount:default:agent", "extra": {NODE_NAME: ["n"]}}
        ),
        review(
            user={"username": "system:serviceaccount:atoll:agent:x", "extra": {NODE_NAME: ["n"]}}
        ),
        review(user={"username": "system:serviceaccount:atoll:agent", "extra": {}}),
        review(user={"username": "system:serviceaccount:atoll:agent", "extra": {NODE_NAME: []}}),
        review(
            user={"username": "system:serviceaccount:atoll:agent", "extra": {NODE_NAME: ["a", "b"]}}
        ),
        {},
    ],
)
async def test_any_other_token_is_no_agents(
    agents: TokenReview, kubernetes: Kubernetes, status: dict[str, object]
) -> None:
    kubernetes.status = status
    assert await agents.node(TOKEN) is None


@pytest.mark.parametrize("token", ["", "abc", "a" * 64, "a.b.c" + "x" * 20_000, "é.é.é", "a.b"])
async def test_what_is_no_web_token_is_not_asked_about(
    agents: TokenReview, kubernetes: Kubernetes, token: str
) -> None:
    assert await agents.node(token) is None
    assert kubernetes.asked == []


@pytest.mark.parametrize("code", [401, 403, 500])
async def test_kubernetes_being_away_is_no_refusal(
    agents: TokenReview, kubernetes: Kubernetes, code: int
) -> None:
    kubernetes.code = code
    with pytest.raises(UnavailableError):
        await agents.node(TOKEN)


async def test_a_single_host_has_a_secret_of_mode_0600(tmp_path: Path) -> None:
    home = Home(tmp_path)
    agents = authenticator(home, NodeSettings(name="here"))

    assert isinstance(agents, TokenFile)
    token = (home.secrets / "agent-token").read_text()
    assert (home.secrets / "agent-token").stat().st_mode & 0o777 == 0o600
    assert await agents.node(token) == "here"
    assert await agents.node(token + "x") is None
    assert await agents.node("é") is None
    assert isinstance(authenticator(home, NodeSettings()), Nobody)
