"""What holds for every stream and every request: round trips, cuts, and whatever may be broken."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.call import Call
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, Text, ToolCall
from lipstream.canonical.seal import Seal, packed
from lipstream.canonical.usage import Usage
from lipstream.errors import ClientFault, UpstreamFault
from lipstream.protocols.gemini import CLIENT, SERVER
from tests.protocols.gemini.building import (
    ARRAY,
    HI,
    STREAM,
    answered,
    chunk,
    decode,
    decode_whole,
    encoder,
    fold,
    frame,
    own_call,
    parts_of,
    plain,
    read,
    said,
    stream,
    text,
)
from tests.recordings import FOLDER, exchanges

SHOWN = own_call(reasoning_summary="auto")

# ---------------------------------------------------------------- legal streams

WORDS = st.text(min_size=1, max_size=6)
REASONS = st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
COUNTS = st.none() | st.integers(0, 99)
OWN_SEALS = st.text("abc", min_size=1, max_size=4).map(lambda value: Seal("gemini", value, "b:m"))
ENTRIES = st.none() | st.just(({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []},))
ARGUMENTS = st.dictionaries(WORDS, st.integers(-9, 9) | WORDS | st.booleans(), max_size=3)


def call_events(draw: st.DrawFn, index: int, choice: int) -> list[e.Event]:
    """One call, whose arguments may come in two pieces."""
    arguments = json.dumps(draw(ARGUMENTS), ensure_ascii=False, separators=(",", ":"))
    cut = draw(st.integers(0, len(arguments)))
    pieces = [piece for piece in (arguments[:cut], arguments[cut:]) if piece]
    return [
        e.ToolCallStarted(index, f"call-{choice}-{index}", draw(WORDS), choice),
        *(e.ToolCallDelta(index, piece, choice) for piece in pieces),
        e.ToolCallFinished(index, choice, draw(st.none() | OWN_SEALS)),
    ]


@st.composite
def contents(draw: st.DrawFn, choice: int) -> list[e.Event]:
    """The inside of one message."""
    found: list[e.Event] = []
    calls = 0
    for kind in draw(st.lists(st.integers(0, 5), max_size=5)):
        if kind == 0:
            found.append(e.TextDelta(draw(WORDS), choice, draw(ENTRIES)))
        elif kind == 1:
            found.append(e.ReasoningDelta(draw(WORDS), choice))
        elif kind == 2:
            name = draw(st.sampled_from(["text", "reasoning"]))
            found.append(e.PartFinished(name, draw(OWN_SEALS), choice))
        elif kind == 3:
            url = "data:image/png;base64,QQ=="
            found.append(e.Media("image", url, "image/png", choice=choice))
        elif kind == 4:
            found.append(e.Media("audio", "QUFB", "audio/L16", choice=choice))
        else:
            found += call_events(draw, calls, choice)
            calls += 1
    reason = draw(REASONS)
    if calls and reason is FinishReason.STOP:
        reason = FinishReason.TOOL_CALLS
    detail = "SAFETY" if reason is FinishReason.CONTENT_FILTER else ""
    return [*found, e.MessageFinished(reason, choice, detail)]


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """A legal stream of one or two choices, whose events come in turns."""
    queues = [
        [e.MessageStarted(choice), *draw(contents(choice))]
        for choice in range(draw(st.integers(1, 2)))
    ]
    events: list[e.Event] = [e.Started("r", draw(WORDS))]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        count = draw(st.integers(1, 4))
        events.extend(queue[:count])
        del queue[:count]
    return [*events, e.Finished()]


def normalised(events: list[e.Event]) -> list[e.Event]:
    """By choice, without what only this dialect adds, and with the arguments in one piece."""
    kept = [x for x in events if not isinstance(x, e.Extra | e.UsageReported)]
    found: list[e.Event] = []
    for event in sorted(kept, key=lambda x: getattr(x, "choice", -1)):
        last = found[-1] if found else None
        if isinstance(event, e.ToolCallDelta) and isinstance(last, e.ToolCallDelta):
            found[-1] = e.ToolCallDelta(event.index, last.arguments + event.arguments, event.choice)
        else:
            found.append(event)
    return found


@given(streams())
def test_written_stream_reads_back(events: list[e.Event]) -> None:
    """As server-sent events and as an array."""
    expected = normalised(events)
    assert normalised(decode(encoder(SHOWN).encode(events))) == expected
    array = read(HI, ARRAY).changed(options=SHOWN.options)
    assert normalised(decode(encoder(array).encode(events))) == expected


@given(streams(), st.data())
def test_batches_do_not_matter(events: list[e.Event], data: st.DataObject) -> None:
    """The bytes are the same however the events are grouped."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    client = encoder(SHOWN)
    pairs = itertools.pairwise([0, *cuts, len(events)])
    assert b"".join(client.encode(events[i:j]) for i, j in pairs) == encoder(SHOWN).encode(events)


@given(streams())
def test_passing_on_and_writing_anew_say_the_same(events: list[e.Event]) -> None:
    """A second proxy passes on what the first one wrote, byte by byte."""
    body = encoder(SHOWN).encode(events)
    assert encoder(SHOWN).encode(decode(body)) == body
    again = decode(encoder(SHOWN, "other").encode(decode(body)))
    assert normalised(again)[1:] == normalised(events)[1:]


@given(streams())
def test_whole_answer_reads_back(events: list[e.Event]) -> None:
    """The answer in one body folds to what the stream folds to."""
    answer = fold(events)
    again = fold(decode_whole(answered(events, SHOWN)))
    for now, before in zip(again.choices, answer.choices, strict=True):
        assert (now.reason, now.logprobs) == (before.reason, before.logprobs)
        assert [plain_part(part) for part in now.parts] == [plain_part(p) for p in before.parts]


def plain_part(part: Any) -> tuple[Any, ...]:
    """What a part says, without the fields of this dialect."""
    names = ("text", "seal", "url", "data", "id", "name", "arguments")
    return (type(part), *(getattr(part, name, None) for name in names))


@given(
    st.lists(st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS), min_size=1, max_size=3)
)
def test_reported_usage_reads_back(reports: list[Usage]) -> None:
    """As one report of what they say together."""
    events = [e.Started("r", "m"), *map(e.UsageReported, reports), e.Finished()]
    expected = functools.reduce(Usage.merge, reports)
    body = encoder().encode(events)
    usage = fold(decode(body + frame(chunk(finish="STOP")))).usage or Usage()
    assert (usage.input_tokens, usage.output_tokens) == (
        expected.input_tokens,
        expected.output_tokens,
    )


SEALS = st.builds(
    Seal,
    st.sampled_from(["gemini", "other", ""]),
    st.text(st.characters(codec=None), max_size=4),
    st.sampled_from(["", "b:m"]),
    st.dictionaries(WORDS, st.integers(), max_size=1),
)


@given(SEALS)
def test_seals_of_others_come_back_as_they_were(seal: Seal) -> None:
    """From a text, a thought or a call, and in the alphabet that Google's client uses."""
    if seal.dialect == "gemini":
        return
    events: list[e.Event] = [
        e.Started(),
        e.MessageStarted(),
        e.ReasoningDelta("hm"),
        e.PartFinished("reasoning", seal),
        e.PartFinished("text", seal),
        e.ToolCallStarted(0, "i", "f"),
        e.ToolCallFinished(0, seal=seal),
    ]
    parts = json.dumps(parts_of(encoder(SHOWN).encode(events)))
    safe = parts.replace(packed(seal), packed(seal).replace("+", "-").replace("/", "_"))
    (turn,) = said(*json.loads(safe), role="model").messages
    kinds = [part for part in turn.parts if isinstance(part, Reasoning | Text | ToolCall)]
    assert [part.seal for part in kinds if part.seal is not None] == [seal] * 3


# ---------------------------------------------------------------- bytes, cut and broken


@functools.cache
def bodies() -> tuple[bytes, ...]:
    """Recorded streams where there are any, and some of our own."""
    part = {"jsonPath": "$.a[0]", "stringValue": "x"}
    own = [
        chunk(text("hm", thought=True), createTime="2026-01-01T00:00:00Z"),
        chunk(text("é", thoughtSignature="s", odd=1), usageMetadata={"promptTokenCount": 1}),
        chunk({"functionCall": {"name": "f", "willContinue": True}}),
        chunk({"functionCall": {"partialArgs": [part], "willContinue": True}}),
        chunk({"inlineData": {"mimeType": "audio/L16", "data": "QQ=="}}, finish="STOP"),
        chunk({"executableCode": {"code": "1"}}, candidate={"index": 1}, finish="SAFETY"),
        chunk({"functionCall": {"name": "g", "args": {}}}, finish="STOP"),
    ]
    array = json.dumps(own, indent=1).encode()
    recorded = [
        exchange.body
        for exchange in (exchanges("generate-content") if FOLDER.is_dir() else ())
        if exchange.status == 200 and len(exchange.body) < 4_000
    ]
    return (stream(*own), array, json.dumps(own[4]).encode(), *recorded)


BODIES = st.deferred(lambda: st.sampled_from(bodies()))
JUNK = st.binary(max_size=4) | st.sampled_from(
    [b"\n", b"\n\n", b"\r", b"data: ", b"{", b"]", b"null", b'"', b"\\ud83d", b"[DONE]", b"1e999"]
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A body with pieces taken out, put in, or said twice."""
    body = draw(BODIES)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.integers(0, 40)))
        middle = draw(st.sampled_from([b"", body[start:stop] * 2]) | JUNK)
        body = body[:start] + middle + body[stop:]
    return body


def use(events: list[e.Event]) -> None:
    """Does with the events whatever is done with events."""
    for call, model in ((own_call(), None), (SHOWN, "other"), (read(HI, ARRAY), None)):
        body = encoder(call, model).encode(events)
        if isinstance(events[-1], e.Finished):
            decode(body)
    try:
        fold(events)
    except UpstreamFault:
        return
    answered(events)


@given(broken())
def test_broken_streams_are_read_or_fail(body: bytes) -> None:
    """Legal events to a terminal one, never anything else."""
    use(decode(body))


@given(BODIES | broken(), st.data())
def test_any_cut_gives_the_same_events(body: bytes, data: st.DataObject) -> None:
    """Of sound and of broken streams."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[i:j] for i, j in itertools.pairwise([0, *cuts, len(body)])]
    assert plain(decode(*pieces)) == plain(decode(body))


WORD_LIST = """
    candidates content parts text thought thoughtSignature functionCall name args id partialArgs
    jsonPath stringValue numberValue willContinue inlineData mimeType data fileData fileUri index
    finishReason usageMetadata promptTokenCount promptFeedback blockReason error code message
    details retryDelay logprobsResult chosenCandidates topCandidates createTime responseId
    contents role systemInstruction tools functionDeclarations parameters parametersJsonSchema
    toolConfig functionCallingConfig mode allowedFunctionNames generationConfig topK
    stopSequences responseMimeType responseSchema thinkingConfig thinkingLevel
    functionResponse response generationConfig.x executableCode type properties
"""
NAMES = st.sampled_from(WORD_LIST.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3)
    | st.sampled_from(["STOP", "model", "user", "image/png", "audio/L16", "QQ==", "$.a[0]", "ANY"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_chunk_is_read_or_fails(value: Any) -> None:
    """Whatever its fields hold."""
    last = {"candidates": [{"content": {"parts": [value]}, "finishReason": "STOP"}]}
    part = json.dumps({"candidates": [value]}), json.dumps(last)
    use(decode(b"".join(frame(each.encode()) for each in (json.dumps(value), *part))))
    for each in (json.dumps(value), *part):
        use(decode_whole(each.encode()))


# ---------------------------------------------------------------- requests

PARTS = [
    text("a", thoughtSignature="s"),
    {"functionCall": {"name": "f", "args": {"a": 1}}},
    {"functionResponse": {"name": "f", "response": {"result": "x"}}},
    {"inline_data": {"mime_type": "audio/mpeg", "data": "QQ=="}},
    {"executableCode": {"code": "1"}},
]
REQUEST = {
    "contents": [
        {"role": "user", "parts": PARTS},
        {"role": "model", "parts": PARTS},
        {"role": "model", "parts": [text("a", thought=True)]},
        {"role": "model", "parts": PARTS},
        {"role": "user", "parts": PARTS},
    ],
    "systemInstruction": {"parts": [text("a")]},
    "tools": [
        {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}, "x": 1},
    "generationConfig": {"topK": 3, "thinkingConfig": {"thinkingLevel": "LOW"}, "imageConfig": {}},
}


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """A request in which some values are others."""
    value = json.loads(json.dumps(REQUEST))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 3)):
                place = place[key]
                continue
            place[key] = draw(VALUES)
            break
    return value


def decoded(value: Any) -> Call | None:
    """The call, or None where the request is refused."""
    try:
        return SERVER.decode_request(json.dumps(value).encode(), STREAM)
    except ClientFault:
        return None


@given(requests())
def test_any_request_is_read_or_refused(value: Any) -> None:
    """And goes to an upstream as what it was."""
    call = decoded(value)
    if call is None:
        return
    body = CLIENT.encode_request(call, "m", is_streaming=True)
    assert SERVER.decode_request(body, STREAM) == call
    assert json.loads(CLIENT.encode_request(call, "gemini-3", is_streaming=True))
    try:
        foreign = call.changed(dialect="other")
        assert json.loads(CLIENT.encode_request(foreign, "gemini-3", is_streaming=True))
    except ClientFault:
        return


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_any_beginning_of_a_request_is_refused(cut: int) -> None:
    """It is no JSON."""
    with pytest.raises(ClientFault):
        SERVER.decode_request(json.dumps(REQUEST).encode()[:cut], STREAM)
