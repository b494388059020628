"""What holds for every stream and every call: cuts, and whatever may be broken."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.call import Message, Role, Tool, ToolChoice, ToolMode
from lipstream.canonical.events import FinishReason
from lipstream.canonical.options import Options, OutputFormat
from lipstream.canonical.parts import (
    Audio,
    File,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from lipstream.canonical.seal import Seal
from lipstream.errors import BadRequest
from lipstream.framing.eventstream import EventStreamSplitter
from lipstream.protocols.bedrock_converse import CLIENT
from tests.protocols.bedrock_converse.building import (
    CLAUDE,
    LLAMA,
    NOVA_2,
    OPUS,
    answer,
    begun,
    call,
    decode,
    decode_whole,
    delta,
    fold,
    message,
    over,
    plain,
    reframed,
    stream,
)
from tests.protocols.bedrock_converse.service_model import complaints
from tests.recordings import FOLDER, exchanges

NAME = "bedrock_converse"
WORDS = st.text(min_size=1, max_size=6)
few = settings(max_examples=40)

# ---------------------------------------------------------------- sound streams


@st.composite
def sound(draw: st.DrawFn) -> tuple[bytes, list[e.Event]]:
    """A stream as the service writes it, and the events that it means."""
    pieces: list[bytes] = []
    events: list[e.Event] = [e.Started(), e.MessageStarted()]
    calls = 0
    kinds = draw(st.lists(st.sampled_from(["text", "reasoning", "redacted", "call"]), max_size=4))
    for index, kind in enumerate(kinds):
        words = draw(st.lists(WORDS, min_size=1, max_size=3))
        if kind == "text":
            pieces += [delta(index, text=word) for word in words]
            events += [e.TextDelta(word) for word in words]
        elif kind == "call":
            pieces.append(begun(index, toolUse={"toolUseId": f"t{calls}", "name": words[0]}))
            pieces += [delta(index, toolUse={"input": word}) for word in words]
            events.append(e.ToolCallStarted(calls, f"t{calls}", words[0]))
            events += [e.ToolCallDelta(calls, word) for word in words]
            events.append(e.ToolCallFinished(calls))
            calls += 1
        elif kind == "reasoning":
            pieces += [delta(index, reasoningContent={"text": word}) for word in words]
            pieces.append(delta(index, reasoningContent={"signature": "c2ln"}))
            events += [e.ReasoningDelta(word) for word in words]
            events.append(e.PartFinished("reasoning", Seal(NAME, "c2ln")))
        else:
            pieces.append(delta(index, reasoningContent={"redactedContent": "QUJD"}))
            fields = {"type": "redactedContent"}
            events.append(e.PartFinished("reasoning", Seal(NAME, "QUJD", fields=fields)))
        pieces.append(over(index))
    reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    events.append(e.MessageFinished(reason, detail="end_turn"))
    return stream(*pieces), events


@few
@given(sound())
def test_sound_stream_is_read_as_it_was_meant(made: tuple[bytes, list[e.Event]]) -> None:
    """Event by event, with the counts and the end behind."""
    body, events = made
    found = decode(body)
    assert found[:-2] == events
    assert [type(event) for event in found[-2:]] == [e.UsageReported, e.Finished]


@few
@given(sound())
def test_whole_answer_means_what_its_stream_does(made: tuple[bytes, list[e.Event]]) -> None:
    """The same parts, for the same reason."""
    choice = fold(decode(made[0])).choices[0]
    blocks: list[Any] = []
    for part in choice.parts:
        if isinstance(part, Text):
            blocks.append({"text": part.text})
        elif isinstance(part, ToolCall):
            use = {"toolUseId": part.id, "name": part.name, "input": {"x": part.arguments}}
            blocks.append({"toolUse": use})
        else:
            assert isinstance(part, Reasoning)
            assert part.seal is not None
            told = {"text": part.text, "signature": part.seal.value}
            is_redacted = bool(part.seal.fields)
            redacted = {"redactedContent": part.seal.value}
            blocks.append(
                {"reasoningContent": redacted if is_redacted else {"reasoningText": told}}
            )
    again = fold(decode_whole(answer(*blocks))).choices[0]
    assert again.reason is choice.reason
    assert [type(part) for part in again.parts] == [type(part) for part in choice.parts]
    for kind in (Text, Reasoning):
        before = [part for part in choice.parts if isinstance(part, kind)]
        assert [part for part in again.parts if isinstance(part, kind)] == before


# ---------------------------------------------------------------- bytes, cut and broken


@functools.cache
def bodies() -> tuple[bytes, ...]:
    """Recorded streams, and one of our own."""
    own = stream(
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "c2ln"}),
        over(0),
        delta(1, text="hi é"),
        over(1),
        begun(2, toolUse={"toolUseId": "a", "name": "f"}),
        delta(2, toolUse={"input": "{}"}),
        over(2),
        begun(3, image={"format": "png"}),
        delta(3, image={"source": {"bytes": "QQ=="}}),
        delta(4, reasoningContent={"redactedContent": "QUJD"}),
    )
    found = []
    for exchange in exchanges("converse-stream") if FOLDER.is_dir() else ():
        if exchange.status == 200 and len(exchange.body) < 9_000:
            is_text = exchange.body[:1] == b"{"
            found.append(reframed(exchange.body) if is_text else exchange.body)
    return (own, *found)


BODIES = st.deferred(lambda: st.sampled_from(bodies()))
JUNK = st.binary(max_size=4) | st.sampled_from([b"{", b"\0\0\0\x10", b'"', b"[[", b"\xff" * 12])


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A stream with pieces taken out, put in, or said twice."""
    body = draw(BODIES)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.integers(0, 40)))
        middle = draw(st.sampled_from([b"", body[start:stop] * 2]) | JUNK)
        body = body[:start] + middle + body[stop:]
    return body


@st.composite
def shuffled(draw: st.DrawFn) -> bytes:
    """A stream of sound messages in another order, some left out, some twice, some unreadable."""
    messages = list(EventStreamSplitter(1 << 24).feed(draw(BODIES)))
    chosen = draw(st.lists(st.sampled_from(messages), max_size=12))
    bad = message("contentBlockDelta", b'{"x')
    made = [
        message(headers[":event-type"], payload) if draw(st.integers(0, 9)) else bad
        for headers, payload in chosen
    ]
    return b"".join(made)


@few
@given(broken() | shuffled())
def test_broken_streams_are_read_or_fail(body: bytes) -> None:
    """Legal events to a terminal one, never anything else."""
    fold(decode(body))


@few
@given(BODIES | broken(), st.data())
def test_any_cut_gives_the_same_events(body: bytes, data: st.DataObject) -> None:
    """Of sound and of broken streams."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[i:j] for i, j in itertools.pairwise([0, *cuts, len(body)])]
    assert plain(decode(*pieces)) == plain(decode(body))


_KEYS = (
    "text toolUse input start delta contentBlockIndex reasoningContent toolUseId name image source "
    "bytes stopReason usage signature redactedContent content message output citationsContent "
    "inputTokens"
)
KEYS = st.sampled_from(_KEYS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
_NAMES = "messageStart contentBlockStart contentBlockDelta contentBlockStop messageStop metadata x"
NAMES = st.sampled_from(_NAMES.split())


@few
@given(st.lists(st.tuples(NAMES, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=8))
def test_values_of_wrong_types_are_read_or_fail(events: list[tuple[str, Any]]) -> None:
    """Whatever a server puts in the place of what is expected."""
    fold(decode(b"".join(message(name, fields) for name, fields in events)))


@few
@given(VALUES | st.builds(lambda value: answer(value), VALUES))
def test_any_json_in_place_of_an_answer_is_read_or_fails(value: Any) -> None:
    """Also where no stream was asked for."""
    decode_whole(json.dumps(value).encode())


@few
@given(st.integers(100, 599), st.text(max_size=8), VALUES | st.binary(max_size=9))
def test_any_error_is_a_fault(status: int, name: str, value: Any) -> None:
    """Whatever stands in it."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fault = CLIENT.decode_error(status, {"x-amzn-errortype": name}, body)
    assert fault.status == status


# ---------------------------------------------------------------- calls

IDS = st.sampled_from(["a", "b", "call_1", "x y", "f.g:0"])
URLS = st.sampled_from(["data:image/png;base64,QUJD", "s3://b1b/k.png", "https://x/y", "data:,a"])
TEXTS = st.text(max_size=4).map(Text)
MEDIA = (
    URLS.map(Image)
    | st.builds(File, st.sampled_from(["QUJD", "data:application/pdf;base64,QUJD", ""]),
                name=st.text(max_size=5))
    | st.just(Audio("QUJD", "wav"))
)  # fmt: skip
OWN = (
    TEXTS
    | st.text(max_size=4).map(Refusal)
    | st.builds(ToolCall, IDS, WORDS, st.sampled_from(["", "{}", '{"a":1}', "[", "1"]))
    | st.just(Reasoning("r", Seal(NAME, "c2ln")))
    | st.just(Reasoning("r"))
)
RESULTS = st.builds(ToolResult, IDS, st.lists(TEXTS | MEDIA, max_size=2).map(tuple),
                    is_error=st.booleans())  # fmt: skip


def messages_of(role: Role, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    """Messages of one side."""
    return st.lists(parts, max_size=3).map(lambda found: Message(role, tuple(found)))


MESSAGES = st.lists(
    messages_of(Role.SYSTEM, TEXTS)
    | messages_of(Role.USER, TEXTS | MEDIA)
    | messages_of(Role.ASSISTANT, OWN)
    | RESULTS.map(lambda result: Message(Role.TOOL, (result,))),
    min_size=1,
    max_size=6,
)
OPTIONS = st.builds(
    Options,
    temperature=st.none() | st.floats(-1, 3),
    top_p=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(1, 9),
    max_output_tokens=st.none() | st.integers(0, 9000),
    stop=st.none() | st.lists(st.text(max_size=2), max_size=2).map(tuple),
    reasoning_effort=st.none() | st.sampled_from(["none", "low", "max", "odd"]),
    reasoning_budget=st.none() | st.integers(-1, 9000),
    output_format=st.none() | st.just(OutputFormat({"type": "object"}, "n n")),
    metadata=st.none() | st.dictionaries(WORDS, WORDS, max_size=2),
    service_tier=st.none() | st.just("flex"),
)
CHOICES = st.none() | st.builds(
    ToolChoice, st.sampled_from(ToolMode), st.lists(st.just("f"), max_size=1).map(tuple)
)


@few
@given(MESSAGES, OPTIONS, CHOICES, st.sampled_from([CLAUDE, OPUS, NOVA_2, LLAMA]))
def test_every_call_is_refused_or_as_the_services_model_says(
    messages: list[Message], options: Options, choice: ToolChoice | None, model: str
) -> None:
    """Turns alternate and begin with the user's, tools are there wherever one is mentioned."""
    tools = (Tool("f"), Tool("g", "does", {"type": "object"}))
    made = call(*messages, options=options, tools=tools, tool_choice=choice)
    try:
        sent = json.loads(CLIENT.encode_request(made, model, is_streaming=True))
    except BadRequest:
        return
    assert complaints(sent) == []
    roles = [turn["role"] for turn in sent["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
    assert all(turn["content"] for turn in sent["messages"])
    mentioned = any("toolUse" in block for turn in sent["messages"] for block in turn["content"])
    assert "toolConfig" in sent or not mentioned
