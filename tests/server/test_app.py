"""The ordinary routes, and errors that say where to go."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lipstream
from lipstream.server.app import LipstreamApp, Readiness, create_app
from lipstream.server.downstream import Downstream
from lipstream.server.models import ListedModel
from lipstream.server.paths import usual_path
from tests.server.wire import CHAT, app_for, conversation, echo

MODELS = [
    ListedModel("openrouter:meta/llama-3:free", "openrouter", 1700000000),
    ListedModel("fast", "stub-fast"),
]


def app(readiness: Readiness | None = None) -> LipstreamApp:
    """An application with a chat endpoint and two models."""
    return create_app(
        handlers={("POST", CHAT): echo, ("POST", "/v1/messages"): echo},
        readiness=lambda: readiness or Readiness(),
        models=lambda: MODELS,
    )


async def fetch(path: str, method: str = "GET", **kwargs: Any) -> Any:
    """A response of the application."""
    client: Any = app(**kwargs).test_client()
    return await client.open(path, method=method)


async def ask(path: str, method: str = "GET", **kwargs: Any) -> tuple[int, Any]:
    """A response's status and JSON."""
    response = await fetch(path, method, **kwargs)
    assert "set-cookie" not in response.headers
    return response.status_code, json.loads(await response.get_data() or "null")


async def test_models_are_listed_in_order_of_their_names() -> None:
    """In OpenAI's shape."""
    status, body = await ask("/v1/models")
    assert (status, body["object"]) == (200, "list")
    assert body["data"] == [
        {"object": "model", "id": "fast", "owned_by": "stub-fast", "created": 0},
        {
            "object": "model",
            "id": "openrouter:meta/llama-3:free",
            "owned_by": "openrouter",
            "created": 1700000000,
        },
    ]


@pytest.mark.parametrize("path", ["openrouter:meta/llama-3:free", "openrouter:meta%2Fllama-3:free"])
async def test_model_whose_name_has_slashes_and_colons_is_shown(path: str) -> None:
    """Escaped or not."""
    status, body = await ask(f"/v1/models/{path}")
    assert (status, body["id"]) == (200, "openrouter:meta/llama-3:free")


async def test_unknown_model_is_not_found() -> None:
    """The text says where the known ones are."""
    status, body = await ask("/v1/models/none")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "GET /v1/models" in body["error"]["message"]


async def test_liveness_is_unconditional() -> None:
    """Restarting a process because its backends are down helps nobody."""
    response = await app(Readiness(is_draining=True)).test_client().get("/livez")
    assert (response.status_code, await response.get_data()) == (200, b"ok")


@pytest.mark.parametrize(
    ("readiness", "status", "body"),
    [
        (Readiness(), 200, {"status": "ready"}),
        (Readiness(is_draining=True), 503, {"status": "draining", "problems": []}),
        (
            Readiness(problems=("no backend is eligible",)),
            503,
            {"status": "unready", "problems": ["no backend is eligible"]},
        ),
    ],
)
async def test_readiness_says_what_is_in_the_way(
    readiness: Readiness, status: int, body: dict[str, Any]
) -> None:
    """200 for whoever should get requests, else 503 with the reason."""
    assert await ask("/readyz", readiness=readiness) == (status, body)


async def test_front_page_says_what_this_is_and_where_clients_point() -> None:
    """Whoever opens the address in a browser knows how to go on."""
    status, body = await ask("/")
    assert status == 200
    assert body["service"] == "lipstream"
    assert body["version"] == lipstream.__version__
    assert body["base_url"].endswith("/v1")
    assert {f"POST {CHAT}", "GET /v1/models", "GET /readyz"} <= set(body["endpoints"])


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/chat/completions", f"Did you mean POST {CHAT}?"),
        ("POST", "/v1/chat/completion", f"Did you mean POST {CHAT}?"),
        ("GET", "/v1/model", "Did you mean GET /v1/models?"),
        ("GET", "/favicon.ico", "GET / lists what there is."),
        ("GET", "/" + "x" * 5000, "xxx..."),
    ],
)
async def test_unknown_path_is_told_the_nearest_one(method: str, path: str, words: str) -> None:
    """In OpenAI's shape."""
    status, body = await ask(path, method)
    assert (status, body["error"]["code"]) == (404, "unknown_url")
    assert body["error"]["type"] == "invalid_request_error"
    assert words in body["error"]["message"]
    assert len(body["error"]["message"]) < 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("GET", CHAT + "/", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
    ],
)
async def test_wrong_method_is_told_the_right_one(method: str, path: str, allowed: str) -> None:
    """405 with Allow, and a text for people."""
    response = await fetch(path, method)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    error = json.loads(await response.get_data())["error"]
    endpoint = f"{allowed.partition(',')[0]} {usual_path(path)}"
    assert error["code"] == "method_not_allowed"
    assert f"{endpoint} is the endpoint" in error["message"]


async def test_head_is_get_without_a_body() -> None:
    """On a route; on an exchange endpoint it is the wrong method."""
    async with conversation(echo) as client:
        await client.send(b"HEAD /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await client.send(b"HEAD %b HTTP/1.1\r\nHost: h\r\n\r\n" % CHAT.encode())
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert (await client.ask(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")).body == b"ok"


async def test_failing_route_is_a_500_without_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The traceback is in the log."""

    def fail() -> Readiness:
        raise ZeroDivisionError("the bug")

    response = await app_for(echo, readiness=fail).test_client().get("/readyz")
    error = json.loads(await response.get_data())["error"]
    assert (response.status_code, error["type"]) == (500, "server_error")
    assert "bug" not in error["message"]
    assert "ZeroDivisionError: the bug" in caplog.text


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (CHAT, CHAT),
        (CHAT + "/", CHAT),
        ("/v1" + CHAT, CHAT),
        ("/v1/v1" + CHAT, CHAT),
        ("//v1//chat/completions//", CHAT),
        ("http://host:1/v1/chat/completions", CHAT),
        ("http://host", "/"),
        ("/", "/"),
        ("", "/"),
        ("/v1", "/v1"),
        ("/v1/v1", "/v1/v1"),
        ("/v1/v1x", "/v1/v1x"),
    ],
)
def test_path_is_taken_as_it_is_meant(path: str, meant: str) -> None:
    """Slashes too many and a doubled version are the same endpoint."""
    assert usual_path(path) == meant


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "/v1/v1/chat/completions", "//v1" + CHAT]
)
async def test_mistaken_base_url_reaches_the_handler_without_a_redirect(path: str) -> None:
    """A POST does not survive a redirect; the handler sees the path that was meant."""
    seen = []

    async def handler(downstream: Downstream) -> None:
        seen.append(downstream.head.path)
        await echo(downstream)

    async with conversation(handler) as client:
        request = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}"
        assert (await client.ask(request.encode())).status == 200
        listing = await client.ask(b"GET /v1/v1/models/ HTTP/1.1\r\nHost: h\r\n\r\n")
        assert listing.json()["object"] == "list"
    assert seen == [CHAT]
