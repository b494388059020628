"""Recorded exchanges with real providers: everything is read, and nothing is lost on the way on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.ask import Ask
from lipstream.errors import FaultKind
from lipstream.protocols.gemini import CLIENT, SERVER
from lipstream.protocols.gemini.fields import Reader
from tests.protocols.gemini.building import (
    STREAM,
    answered,
    datas,
    decode,
    encoder,
    own_call,
    written,
)
from tests.recordings import Exchange, exchanges

REFUSED = {"opentelemetry-vertexai-test_generate_content_invalid_role__00"}
FAULTS = {400: (FaultKind.BAD_REQUEST, FaultKind.CREDENTIALS), 404: (FaultKind.NOT_FOUND,)}


def generated() -> Iterator[Exchange]:
    """The exchanges that were answered with content."""
    for exchange in exchanges("generate-content"):
        if exchange.status == 200 and b'"candidates"' in exchange.body:
            yield exchange


def values_of(body: bytes) -> list[Any]:
    """The chunks of a recorded body."""
    if not body.startswith(b"data:"):
        value = json.loads(body)
        return value if isinstance(value, list) else [value]
    return datas(body.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n\n")


def test_every_answer_is_read_to_its_end() -> None:
    """Whatever form it has."""
    count = 0
    for exchange in generated():
        events = decode(exchange.body)
        assert isinstance(events[-1], e.Finished), exchange.name
        count += 1
    assert count > 150


def test_streams_pass_as_they_came() -> None:
    """Chunk by chunk, also in pieces as the network might cut them."""
    for exchange in generated():
        if not exchange.body.startswith(b"data:"):
            continue
        body = exchange.body
        step = 1 + len(body) % 997
        events = decode(*(body[i : i + step] for i in range(0, len(body), step)))
        assert datas(encoder().encode(events)) == values_of(body), exchange.name


def test_whole_answers_are_told_as_they_came() -> None:
    """Enumerations as words, though."""
    for exchange in generated():
        values = values_of(exchange.body)
        if len(values) == 1 and not exchange.body.startswith(b"data:"):
            expected = json.loads(
                exchange.body.replace(b'"finishReason": 1', b'"finishReason": "STOP"')
            )
            if isinstance(expected, dict):
                assert answered(decode(exchange.body)) == expected, exchange.name


def test_streams_written_anew_mean_the_same() -> None:
    """In chunks of our own, and in one body."""
    shown = own_call(reasoning_summary="auto")
    for exchange in generated():
        answer = answered(decode(exchange.body), shown)
        again = answered(decode(encoder(shown, "other").encode(decode(exchange.body))), shown)
        again["modelVersion"] = answer["modelVersion"]
        assert meaning(again) == meaning(answer), exchange.name


def meaning(answer: Any) -> Any:
    """An answer without what chunks of our own do not say: texts side by side are one."""
    for candidate in answer["candidates"]:
        candidate.pop("index", None)
        joined: list[Any] = []
        for part in candidate["content"].get("parts", ()):
            last = joined[-1] if joined else {}
            if last.keys() == {"text"} == part.keys() - {"thoughtSignature"}:
                joined[-1] = part | {"text": last["text"] + part["text"]}
            else:
                joined.append(part)
        candidate["content"]["parts"] = joined
    return answer


def test_errors_are_classified() -> None:
    """Each as what it is."""
    for exchange in exchanges("generate-content"):
        if exchange.status != 200:
            fault = CLIENT.decode_error(exchange.status, exchange.headers, exchange.body)
            assert fault.kind in FAULTS[exchange.status], exchange.name
            assert fault.detail, exchange.name


# ---------------------------------------------------------------- requests


def asked() -> Iterator[tuple[Exchange, bytes]]:
    """The requests, with their bodies."""
    for exchange in exchanges("generate-content"):
        is_broken = any(exchange.name.endswith(name) for name in REFUSED)
        if exchange.request and "contents" in exchange.request and not is_broken:
            yield exchange, json.dumps(exchange.request).encode()


def test_requests_are_written_again() -> None:
    """The same call, and the same request but for its spelling."""
    for exchange, body in asked():
        call = SERVER.decode_request(body, STREAM)
        again = written(call)
        assert SERVER.decode_request(json.dumps(again).encode(), STREAM) == call, exchange.name
        found, expected = usual(again, "request"), usual(exchange.request, "request")
        expected["tools"] = merged(expected.get("tools", []))
        if not expected["tools"]:
            del expected["tools"]
        assert found == expected, exchange.name


def usual(value: Any, name: str = "") -> Any:
    """A request in the usual spelling, without what says nothing."""
    if isinstance(value, list):
        return [usual(entry) for entry in value]
    if name == "systemInstruction" and isinstance(value, str):
        return {"parts": [{"text": value}]}
    if not isinstance(value, dict):
        is_bytes = name in ("data", "thoughtSignature")
        return value.replace("-", "+").replace("_", "/") if is_bytes else value
    fields = {key: usual(inner, key) for key, inner in Reader(value, "").left.items()}
    silent: list[Any] = [None, {}] if name == "request" else [None]
    return {
        key: inner
        for key, inner in fields.items()
        if inner not in silent and (key, inner) != ("thought", False) and key != "model"
    }


def merged(tools: list[Any]) -> list[Any]:
    """Functions side by side are one entry, other tools an entry each."""
    found: list[Any] = []
    for name, value in (pair for tool in tools for pair in tool.items()):
        last = found[-1] if found else {}
        if name == "functionDeclarations" and name in last:
            last[name] += value
        else:
            found.append({name: value})
    return found


def test_count_request_is_read() -> None:
    """It has the fields of any other."""
    for exchange in exchanges("generate-content"):
        if b'"totalTokens"' in exchange.body and b'"candidates"' not in exchange.body:
            body = json.dumps(exchange.request).encode()
            call = SERVER.decode_count_request(body, Ask("m", "countTokens"))
            assert call.messages, exchange.name
