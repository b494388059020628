"""The dialect as the rest of the proxy sees it."""

from __future__ import annotations

import json

import pytest

from lipstream.canonical import events as e
from lipstream.interfaces import ClientDialect, ServerDialect, StreamDecoder, StreamEncoder
from lipstream.protocols.gemini import CLIENT, SERVER
from tests.protocols.gemini.building import HI, STREAM, chunk, fold, stream, text

BODY = stream(chunk(text("hi")), chunk(text(""), finish="STOP"))


def test_both_roles_fit_their_interfaces() -> None:
    """And have the name by which calls know them."""
    server: ServerDialect = SERVER
    client: ClientDialect = CLIENT
    assert server.name == client.name == "gemini"
    assert list(client.headers(None)) == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/a b", "/tunedModels/a%20b"),
        ("publishers/google/models/g", "/publishers/google/models/g"),
        ("a/b:c?d#é%", "/models/a%2Fb%3Ac%3Fd%23%C3%A9%25"),
        ("models/a?b%", "/models/a%3Fb%25"),
    ],
)
def test_path_names_the_model_and_the_method(model: str, expected: str) -> None:
    """A model that is a path of its own is not put into another one."""
    assert CLIENT.path(model, is_streaming=True) == f"{expected}:streamGenerateContent?alt=sse"
    assert CLIENT.path(model, is_streaming=False) == f"{expected}:generateContent"


def test_exchange_passes_through_both_roles() -> None:
    """From the client's bytes to the upstream's and back."""
    call = SERVER.decode_request(json.dumps(HI).encode(), STREAM)
    assert json.loads(CLIENT.encode_request(call, "other", is_streaming=True)) == HI
    decoder: StreamDecoder = CLIENT.stream_decoder()
    client: StreamEncoder = SERVER.stream_encoder(call)
    assert client.encode(decoder.feed(BODY)) == BODY
    assert client.encode(decoder.end()) == b""
    assert decoder.dropped_events == 0


def test_exchange_without_a_stream_passes_through_both_roles() -> None:
    """The answer is folded in between."""
    call = SERVER.decode_request(json.dumps(HI).encode())
    events = CLIENT.decode_answer(json.dumps(chunk(text("hi"), finish="STOP")).encode())
    body = json.loads(SERVER.encode_answer(fold(events), call, model="alias"))
    assert body == chunk(text("hi"), finish="STOP") | {"modelVersion": "alias"}


def test_made_up_ids_are_unique() -> None:
    """Over all answers of a process."""
    part = {"functionCall": {"name": "f"}}
    body = json.dumps(chunk(part, part)).encode()
    batches = [CLIENT.decode_answer(body) for _ in range(20)]
    starts = [x for batch in batches for x in batch if isinstance(x, e.ToolCallStarted)]
    assert len({start.id for start in starts}) == len(starts) == 40


def test_made_up_id_comes_back_by_name_and_order() -> None:
    """A client of this dialect was never told it."""
    events = CLIENT.decode_answer(json.dumps(chunk({"functionCall": {"name": "f"}})).encode())
    call = SERVER.decode_request(json.dumps(HI).encode())
    told = json.loads(SERVER.encode_answer(fold(events), call))["candidates"][0]["content"]
    assert told["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    answer = {"functionResponse": {"name": "f", "response": {"a": 1}}}
    contents = [*HI["contents"], told, {"role": "user", "parts": [answer]}]
    again = SERVER.decode_request(json.dumps({"contents": contents}).encode())
    sent = json.loads(CLIENT.encode_request(again, "m", is_streaming=True))
    assert sent == {"contents": contents}
