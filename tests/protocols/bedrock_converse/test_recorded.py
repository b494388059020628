"""Recorded exchanges with the real service: everything is read, as AWS's own client reads it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from lipstream.canonical import events as e
from lipstream.canonical.call import Message, Role
from lipstream.canonical.parts import Part, Reasoning, Text, ToolCall
from lipstream.errors import FaultKind
from lipstream.protocols.bedrock_converse import CLIENT
from tests.protocols.bedrock_converse.building import (
    CLAUDE,
    HELLO,
    body,
    call,
    decode,
    decode_whole,
    fold,
    reframed,
)
from tests.protocols.bedrock_converse.service_model import complaints, events_in
from tests.recordings import Exchange, exchanges


def streams() -> list[tuple[Exchange, bytes]]:
    """All recorded streams, in the frames that some sources did not keep."""
    return [
        (exchange, reframed(exchange.body) if exchange.body[:1] == b"{" else exchange.body)
        for exchange in exchanges("converse-stream")
        if exchange.status == 200
    ]


def answers() -> list[tuple[Exchange, list[e.Event]]]:
    """All recorded answers with their events."""
    whole = [x for x in exchanges("converse") if x.status == 200]
    return [
        *((exchange, decode(data)) for exchange, data in streams()),
        *((exchange, decode_whole(exchange.body)) for exchange in whole),
    ]


def test_every_recorded_answer_is_read() -> None:
    """To its end, and no event is dropped."""
    kinds = Counter(type(events[-1]).__name__ for _, events in answers())
    assert kinds == {"Finished": 45}
    for exchange, data in streams():
        decoder = CLIENT.stream_decoder()
        decoder.feed(data)
        assert decoder.dropped_events == 0, exchange.name


def test_recorded_streams_read_the_same_in_any_pieces() -> None:
    """Cut where the network might cut."""
    for exchange, data in streams():
        step = 1 + len(data) % 97
        pieces = [data[i : i + step] for i in range(0, len(data), step)]
        assert decode(*pieces) == decode(data), exchange.name


def meaning_by_aws(data: bytes) -> list[Any]:
    """Texts, reasoning, calls, proofs, counts and the reason, as AWS's own client reads them."""
    texts, thoughts, proofs = [], [], []
    calls: dict[int, list[str]] = {}
    usage: Any = {}
    reason = ""
    for name, event in events_in(data):
        index = event.get("contentBlockIndex", -1)
        if name == "contentBlockStart" and "toolUse" in event["start"]:
            start = event["start"]["toolUse"]
            if start.get("type") != "server_tool_use":
                calls[index] = [start["toolUseId"], start["name"], ""]
        elif name == "contentBlockDelta":
            given = event["delta"]
            reasoning = given.get("reasoningContent", {})
            texts.append(given.get("text", ""))
            thoughts.append(reasoning.get("text", ""))
            proofs.append(reasoning.get("signature", ""))
            if "toolUse" in given and index in calls:
                calls[index][2] += given["toolUse"]["input"]
        elif name == "messageStop":
            reason = event["stopReason"]
        elif name == "metadata":
            usage = event.get("usage", {})
    made = [[i, name, arguments or "{}"] for i, name, arguments in calls.values()]
    counts = [usage.get("outputTokens"), usage.get("totalTokens")]
    return ["".join(texts), "".join(thoughts), "".join(proofs), made, reason, counts]


def test_recorded_streams_mean_what_aws_reads_in_them() -> None:
    """Its client has the service's own description of the events."""
    for exchange, data in streams():
        answer = fold(decode(data))
        (choice,) = answer.choices
        parts = choice.parts
        seals = [p.seal for p in parts if isinstance(p, Reasoning)]
        assert [
            "".join(p.text for p in parts if isinstance(p, Text)),
            "".join(p.text for p in parts if isinstance(p, Reasoning)),
            "".join(seal.value for seal in seals if seal and not seal.fields),
            [[p.id, p.name, p.arguments] for p in parts if isinstance(p, ToolCall)],
            choice.detail,
            [answer.usage and answer.usage.output_tokens, answer.usage and answer.usage.total],
        ] == meaning_by_aws(data), exchange.name


def test_recorded_answers_go_back_as_they_came() -> None:
    """Text, calls and proofs of Claude's, byte by byte, as the service's model allows."""
    proofs = 0
    for exchange, events in answers():
        parts = fold(events).choices[0].parts
        sent = body(call(HELLO, Message(Role.ASSISTANT, (Text("So:"), *parts))), CLAUDE)
        assert complaints(sent) == [], exchange.name
        blocks = sent["messages"][1]["content"]
        given = [b["reasoningContent"] for b in blocks if "reasoningContent" in b]
        assert given == [proof_of(part) for part in parts if is_proven(part)], exchange.name
        proofs += len(given)
    assert proofs == 7


def is_proven(part: Part) -> bool:
    """Whether it is reasoning that goes back."""
    return isinstance(part, Reasoning) and part.seal is not None


def proof_of(part: Part) -> Any:
    """The block of proven reasoning."""
    assert isinstance(part, Reasoning)
    assert part.seal is not None
    if part.seal.fields:
        return {"redactedContent": part.seal.value}
    return {"reasoningText": {"text": part.text, "signature": part.seal.value}}


def test_recorded_proofs_are_the_bytes_of_the_record() -> None:
    """Of whole answers, where they stand in one piece."""
    for exchange in exchanges("converse"):
        if exchange.status != 200:
            continue
        content = json.loads(exchange.body)["output"]["message"]["content"]
        given = [b["reasoningContent"] for b in content if "reasoningContent" in b]
        told = [given["reasoningText"].get("signature") for given in given]
        parts = fold(decode_whole(exchange.body)).choices[0].parts
        seals = [part.seal for part in parts if isinstance(part, Reasoning)]
        assert [seal.value if seal else None for seal in seals] == told, exchange.name


def test_recorded_errors_are_told_apart() -> None:
    """Each by its words."""
    kinds: Counter[FaultKind] = Counter()
    for api in ("converse", "converse-stream"):
        for exchange in exchanges(api):
            if exchange.status != 200:
                fault = CLIENT.decode_error(exchange.status, exchange.headers, exchange.body)
                kinds[fault.kind] += 1
    assert kinds == {
        FaultKind.NOT_FOUND: 5,
        FaultKind.UNSUPPORTED: 2,
        FaultKind.BAD_REQUEST: 2,
    }


def test_recorded_requests_are_as_the_services_model_says() -> None:
    """So the look at our own requests is not too strict."""
    count = 0
    for api in ("converse", "converse-stream"):
        for exchange in exchanges(api):
            if exchange.status == 200 and exchange.request:
                assert complaints(exchange.request) == [], exchange.name
                count += 1
    assert count > 35
