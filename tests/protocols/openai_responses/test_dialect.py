"""The dialect as the rest of the proxy sees it."""

from __future__ import annotations

import json

from lipstream.canonical import events as e
from lipstream.interfaces import ClientDialect, ServerDialect, StreamDecoder, StreamEncoder
from lipstream.protocols.openai_responses import CLIENT, SERVER
from tests.protocols.openai_responses.building import (
    DONE,
    call,
    completed,
    fold,
    message,
    numbered,
    stream,
    text_stream,
)

REQUEST = b'{"model": "m", "stream": true, "input": "hi"}'
BODY = stream(*numbered(text_stream("hi")))


def test_both_roles_fit_their_interfaces() -> None:
    """And have the name by which calls know them."""
    server: ServerDialect = SERVER
    client: ClientDialect = CLIENT
    assert server.name == client.name == "openai_responses"
    assert client.path("any", is_streaming=True) == "/responses"


def test_exchange_passes_through_both_roles() -> None:
    """From the client's bytes to the upstream's and back."""
    asked = SERVER.decode_request(REQUEST)
    body = json.loads(CLIENT.encode_request(asked, "other", is_streaming=True))
    assert body == {"model": "other", "input": "hi", "stream": True}
    decoder: StreamDecoder = CLIENT.stream_decoder()
    client: StreamEncoder = SERVER.stream_encoder(asked)
    assert client.encode(decoder.feed(BODY)) == BODY + DONE
    assert decoder.end() == []
    assert decoder.dropped_events == 0


def test_exchange_without_a_stream_passes_through_both_roles() -> None:
    """The answer is folded in between."""
    asked = SERVER.decode_request(REQUEST)
    whole = completed(message("hi"))["response"]
    events = CLIENT.decode_answer(json.dumps(whole).encode())
    body = json.loads(SERVER.encode_answer(fold(events), asked, model="alias"))
    assert body == {**whole, "model": "alias"}


def test_made_up_ids_are_unique() -> None:
    """Over all answers of a process."""
    body = json.dumps(completed(call(call_id=""), call(call_id="", id=""))["response"]).encode()
    batches = [CLIENT.decode_answer(body) for _ in range(20)]
    starts = [x.id for batch in batches for x in batch if isinstance(x, e.ToolCallStarted)]
    made_up = [key for key in starts if key != "fc_1"]
    assert len(starts) == 40
    assert len(set(made_up)) == len(made_up) == 20
    asked = SERVER.decode_request(REQUEST)
    ids = {SERVER.stream_encoder(asked).response_id for _ in range(20)}
    assert len(ids) == 20
    assert all(key.startswith("resp_") for key in ids)
