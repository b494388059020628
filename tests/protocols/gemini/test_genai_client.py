"""What Google's own Python client makes of what is written here, and we of what it writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from google import genai
from google.genai import errors, types

from lipstream.canonical import events as e
from lipstream.canonical.ask import Ask
from lipstream.canonical.call import Call
from lipstream.canonical.collect import Choice
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, Text, ToolCall
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from lipstream.protocols.gemini import SERVER
from tests.protocols.gemini.building import decode, fold, message
from tests.recordings import exchanges

SEAL = Seal("other", "???>>>", "b:m")
EVENTS = message(
    e.ReasoningDelta("hm"),
    e.PartFinished("reasoning", SEAL),
    e.TextDelta("hi "),
    e.TextDelta("there"),
    e.ToolCallStarted(0, "i", "f"),
    e.ToolCallDelta(0, '{"x":1}'),
    e.ToolCallFinished(0, seal=SEAL),
    e.UsageReported(Usage(input_tokens=3, output_tokens=4, reasoning_tokens=1)),
    reason=FinishReason.TOOL_CALLS,
)


class Recorder(HTTPServer):
    """Answers every request with our encoders, and keeps the calls.

    Attributes:
        events: What is answered.
        model: What is told to be the model, where that is replaced.
        problem: What is told instead of an answer.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[Call] = []
        self.events = EVENTS
        self.model: str | None = None
        self.problem: Problem | None = None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Recorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        url = urlsplit(self.path)
        model, _, action = url.path.rpartition("/models/")[2].partition(":")
        call = SERVER.decode_request(body, Ask(model, action, dict(parse_qsl(url.query))))
        self.server.calls.append(call)
        if self.server.problem is not None:
            self.answer(self.server.problem.status, SERVER.encode_problem(self.server.problem))
        elif call.is_streaming:
            stream = SERVER.stream_encoder(call, model=self.server.model)
            self.answer(200, stream.encode(self.server.events), stream.content_type)
        else:
            self.answer(200, SERVER.encode_answer(fold(self.server.events), call))

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def client() -> Iterator[tuple[Any, Recorder]]:
    """Google's client, and the server that it asks."""
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    asking = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=base))
    try:
        yield asking.models, server
    finally:
        asking.close()
        server.shutdown()
        thread.join()
        server.server_close()


THINKING = types.ThinkingConfig(include_thoughts=True, thinking_budget=100)
CONFIG = types.GenerateContentConfig(
    system_instruction="be kind",
    temperature=0.5,
    stop_sequences=["x"],
    thinking_config=THINKING,
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(name="f", parameters_json_schema={"type": "object"})
            ]
        )
    ],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def test_client_reads_a_stream_and_brings_it_back() -> None:
    """Thoughts, text and call with their seals, in the next request."""
    with client() as (models, server):
        chunks = list(models.generate_content_stream(model="gem", contents="hi", config=CONFIG))
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
        turn = types.Content(role="model", parts=parts)
        answer = types.Part.from_function_response(name="f", response={"result": "ok"})
        models.generate_content(model="gem", contents=["hi", turn, answer], config=CONFIG)
    assert "".join(chunk.text or "" for chunk in chunks) == "hi there"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.thoughts_token_count == 1
    first, second = server.calls
    assert (first.model, first.is_streaming, second.is_streaming) == ("gem", True, False)
    assert first.options.temperature == 0.5
    assert (first.options.reasoning_budget, first.options.reasoning_summary) == (100, "auto")
    assert [tool.parameters for tool in first.tools] == [{"type": "object"}]
    seals = [
        part.seal
        for turn in second.messages
        for part in turn.parts
        if isinstance(part, Reasoning | Text | ToolCall) and part.seal is not None
    ]
    assert seals == [SEAL, SEAL]
    assert [type(part).__name__ for part in second.messages[-1].parts] == ["ToolResult"]


def test_client_reads_a_whole_answer() -> None:
    """Text, calls and usage."""
    with client() as (models, _):
        answer = models.generate_content(model="gem", contents="hi")
    assert answer.text == "hi there"
    assert [(call.id, call.name, call.args) for call in answer.function_calls] == [
        ("i", "f", {"x": 1})
    ]
    assert (answer.usage_metadata.prompt_token_count, answer.response_id) == (3, "r")
    assert answer.model_version == "g"


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (429, ProblemKind.RATE_LIMIT, errors.ClientError),
        (503, ProblemKind.OVERLOADED, errors.ServerError),
    ],
)
def test_client_reads_an_error(status: int, kind: ProblemKind, error: type[Exception]) -> None:
    """Its class, its status and its words."""
    with client() as (models, server):
        server.problem = Problem(status, kind, "slow down", retry_after=0)
        with pytest.raises(error) as caught:
            models.generate_content(model="gem", contents="hi")
    assert caught.value.message == "slow down"  # type: ignore[attr-defined]
    assert caught.value.code == status  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", [None, "other"])
def test_client_reads_recorded_streams(model: str | None) -> None:
    """As they came, and written anew: the same text, calls and end."""
    with client() as (models, server):
        for exchange in exchanges("generate-content"):
            if not exchange.is_stream or len(exchange.body) > 20_000:
                continue
            server.events, server.model = decode(exchange.body), model
            found = list(models.generate_content_stream(model="gem", contents="hi"))
            (choice,) = fold(server.events).choices
            if b"partialArgs" not in exchange.body or model:
                assert read_by(found) == meant(choice), exchange.name
            assert found[-1].candidates[0].finish_reason is not None, exchange.name


def read_by(chunks: list[Any]) -> tuple[str, list[Any]]:
    """Text and calls as the client reads them."""
    contents = [chunk.candidates[0].content for chunk in chunks]
    parts = [part for content in contents if content for part in content.parts or ()]
    calls = [part.function_call for part in parts if part.function_call]
    texts = [part.text or "" for part in parts if not part.thought]
    return "".join(texts), [(call.name, call.args) for call in calls]


def meant(choice: Choice) -> tuple[str, list[Any]]:
    """The same of the canonical answer."""
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    texts = [part.text for part in choice.parts if isinstance(part, Text)]
    return "".join(texts), [(call.name, json.loads(call.arguments)) for call in calls]


def test_packed_seals_are_bytes_to_the_client() -> None:
    """It decodes signatures and writes them in another alphabet."""
    part = types.Part.model_validate({"text": "", "thoughtSignature": packed(SEAL)})
    assert part.thought_signature is not None
    assert part.thought_signature.startswith(b"lipseal1:")
