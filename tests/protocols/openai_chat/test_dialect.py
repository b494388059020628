"""The dialect as the rest of the proxy sees it."""

from __future__ import annotations

import json

from lipstream.canonical import events as e
from lipstream.errors import FaultKind
from lipstream.interfaces import ClientDialect, ServerDialect, StreamDecoder, StreamEncoder
from lipstream.protocols.openai_chat import CLIENT, SERVER
from tests.protocols.openai_chat.building import chunk, fold, stream

REQUEST = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
BODY = stream(chunk({"role": "assistant", "content": "hi"}), chunk({}, "stop"))


def test_both_roles_fit_their_interfaces() -> None:
    """And have the name by which calls know them."""
    server: ServerDialect = SERVER
    client: ClientDialect = CLIENT
    assert server.name == client.name == "openai_chat"
    assert client.path("any", is_streaming=True) == "/chat/completions"
    assert list(client.headers(SERVER.decode_request(REQUEST))) == []


def test_exchange_passes_through_both_roles() -> None:
    """From the client's bytes to the upstream's and back."""
    call = SERVER.decode_request(REQUEST)
    body = json.loads(CLIENT.encode_request(call, "other", is_streaming=True))
    assert (body["model"], body["stream"]) == ("other", True)
    decoder: StreamDecoder = CLIENT.stream_decoder()
    client: StreamEncoder = SERVER.stream_encoder(call)
    assert client.encode(decoder.feed(BODY)) == BODY
    assert decoder.end() == []
    assert decoder.dropped_events == 0


def test_exchange_without_a_stream_passes_through_both_roles() -> None:
    """The answer is folded in between."""
    call = SERVER.decode_request(REQUEST)
    whole = {"object": "chat.completion", "choices": [{"message": {"content": "hi"}}]}
    events = CLIENT.decode_answer(json.dumps(whole).encode())
    body = json.loads(SERVER.encode_answer(fold(events), call, model="alias"))
    assert body["choices"][0]["message"]["content"] == "hi"
    assert body["model"] == "alias"
    assert body["id"].startswith("chatcmpl-")
    assert body["created"] > 1_700_000_000


def test_made_up_ids_are_unique() -> None:
    """Over all answers of a process."""
    call = {"function": {"name": "f", "arguments": "{}"}}
    body = json.dumps({"choices": [{"message": {"tool_calls": [call, call]}}]}).encode()
    batches = [CLIENT.decode_answer(body) for _ in range(20)]
    starts = [x for batch in batches for x in batch if isinstance(x, e.ToolCallStarted)]
    assert len({start.id for start in starts}) == len(starts) == 40


def test_errors_are_read_by_the_role_towards_upstreams() -> None:
    """Any body will do."""
    assert CLIENT.decode_error(429, {"retry-after": "2"}, b"").kind is FaultKind.RATE_LIMIT
