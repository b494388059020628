"""What holds for every stream: round trips, cuts, and whatever may be broken."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Part, Reasoning
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import UpstreamFault
from lipstream.protocols.openai_chat import ChatServer
from lipstream.protocols.openai_chat.pieces import join_pieces
from lipstream.protocols.openai_chat.wire import WHOLE_CALLS
from tests.protocols.openai_chat.building import (
    chat_call,
    chunk,
    decode,
    decode_whole,
    encoder,
    fold,
    plain,
    stream,
)
from tests.recordings import FOLDER, exchanges

# ---------------------------------------------------------------- legal streams

WORDS = st.text(min_size=1, max_size=6)
REASONS = st.sampled_from(
    [FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.CONTENT_FILTER]
)
COUNTS = st.none() | st.integers(0, 99)
FIELDS = st.dictionaries(st.sampled_from(["x", "y"]), st.integers() | WORDS, min_size=1)
ENTRIES = st.none() | st.just(({"token": "a", "logprob": -0.5},))


@st.composite
def contents(draw: st.DrawFn, choice: int) -> list[e.Event]:
    """The inside of one message; every call is started, argued and finished in turn."""
    found: list[e.Event] = []
    calls = 0
    for kind in draw(st.lists(st.integers(0, 6), max_size=4)):
        if kind == 0:
            found.append(e.TextDelta(draw(WORDS), choice, draw(ENTRIES)))
        elif kind == 1:
            found.append(e.ReasoningDelta(draw(WORDS), choice))
        elif kind == 2:
            found.append(e.RefusalDelta(draw(WORDS), choice, draw(ENTRIES)))
        elif kind == 3:
            found.append(e.Media("image", draw(WORDS), choice=choice))
        elif kind == 4:
            found.append(e.Media("audio", draw(WORDS), transcript=draw(WORDS), choice=choice))
        elif kind == 5:
            found.append(e.Extra("openai_chat", "delta", draw(FIELDS), choice))
        else:
            form = draw(st.sampled_from(["function", "custom"]))
            name = f"call-{choice}-{calls}"
            found.append(e.ToolCallStarted(calls, name, draw(WORDS), choice, form))
            pieces = draw(st.lists(WORDS, max_size=3))
            found.extend(e.ToolCallDelta(calls, piece, choice) for piece in pieces)
            calls += 1
    ends: list[e.Event] = [e.ToolCallFinished(index, choice) for index in range(calls)]
    return [*found, *ends, e.MessageFinished(draw(REASONS), choice)]


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """A legal stream of one or two choices, whose events come in turns."""
    queues = [
        [e.MessageStarted(choice), *draw(contents(choice))]
        for choice in range(draw(st.integers(1, 2)))
    ]
    events: list[e.Event] = [e.Started("c1", draw(WORDS), draw(st.integers(1, 9)))]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        count = draw(st.integers(1, 4))
        events.extend(queue[:count])
        del queue[:count]
    return [*events, e.Finished()]


@given(streams())
def test_written_stream_reads_back(events: list[e.Event]) -> None:
    """Decoding what was encoded gives the events of every choice in their order."""
    assert by_choice(decode(encoder().encode(events))) == by_choice(normalised(events))


def normalised(events: list[e.Event]) -> list[e.Event]:
    """With the ends of reasoning, which chat has no event for, and no call without arguments."""
    found: list[e.Event] = []
    thinking: set[int] = set()
    for event in with_arguments(events):
        choice = getattr(event, "choice", -1)
        if isinstance(event, e.ReasoningDelta):
            thinking.add(choice)
        elif choice in thinking and not isinstance(event, e.Extra):
            thinking.discard(choice)
            found.append(e.PartFinished("reasoning", Seal("openai_chat", ""), choice))
        found.append(event)
    return found


def with_arguments(events: list[e.Event]) -> list[e.Event]:
    """With an empty object for every function that is called without any in a whole answer."""
    ends = {event.choice: event for event in events if isinstance(event, e.MessageFinished)}
    bare = {
        (event.choice, event.index)
        for event in events
        if isinstance(event, e.ToolCallStarted)
        and event.type == "function"
        and ends[event.choice].reason in WHOLE_CALLS
    }
    bare -= {(event.choice, event.index) for event in events if isinstance(event, e.ToolCallDelta)}
    found: list[e.Event] = []
    for event in events:
        if isinstance(event, e.ToolCallFinished):
            due = sorted(call for call in bare if call[0] == event.choice)
            found += [e.ToolCallDelta(index, "{}", choice) for choice, index in due]
            bare -= set(due)
        found.append(event)
    return found


def by_choice(events: list[e.Event]) -> list[e.Event]:
    """The events of one choice after the other: ends of calls are told with their message's."""
    return sorted(events, key=lambda event: getattr(event, "choice", -1))


@given(streams(), st.data())
def test_batches_do_not_matter(events: list[e.Event], data: st.DataObject) -> None:
    """The bytes are the same however the events are grouped."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    client = encoder()
    pairs = itertools.pairwise([0, *cuts, len(events)])
    assert b"".join(client.encode(events[i:j]) for i, j in pairs) == encoder().encode(events)


@given(streams())
def test_passing_on_and_writing_anew_say_the_same(events: list[e.Event]) -> None:
    """A second proxy passes on what the first one wrote, byte by byte."""
    body = encoder().encode(events)
    assert encoder().encode(decode(body)) == body


@given(streams())
def test_reasoning_of_another_protocol_comes_back_as_it_was(events: list[e.Event]) -> None:
    """Its text, cut where it was cut, with its seals, from a stream and from a whole answer."""
    sealed = [
        event.changed(seal=Seal("x", str(place), "b:m"))
        if isinstance(event, e.PartFinished)
        else event
        for place, event in enumerate(normalised(events))
    ]
    streamed = {choice.index: choice for choice in fold(decode(encoder().encode(sealed))).choices}
    for choice in fold(sealed).choices:
        body = ChatServer().encode_answer(Answer("c1", "m", 1, (choice,), None), chat_call())
        expected = reasoning(choice.parts)
        assert brought_back(json.loads(body)["choices"][0]["message"]) == expected
        texts = "".join(text for text, _ in expected)
        pieces = join_pieces(streamed[choice.index].pieces)
        assert brought_back({"reasoning": texts, **pieces}) == expected


def reasoning(parts: tuple[Part, ...]) -> list[tuple[str, Seal | None]]:
    """The texts and seals of reasoning."""
    return [(part.text, part.seal) for part in parts if isinstance(part, Reasoning)]


def brought_back(message: dict[str, Any]) -> list[tuple[str, Seal | None]]:
    """The reasoning of a client's request that holds a message as it was told."""
    request = {"messages": [{"content": "", **message, "role": "assistant"}]}
    (turn,) = ChatServer().decode_request(json.dumps(request).encode()).messages
    return reasoning(turn.parts)


@given(streams())
def test_whole_answer_reads_back(events: list[e.Event]) -> None:
    """The answer in one body folds to what the stream folds to."""
    answer = fold(events)
    if not answer.dialect:
        answer = fold(with_arguments(events))
    again = fold(decode_whole(ChatServer().encode_answer(answer, chat_call())))
    assert [choice.reason for choice in again.choices] == [c.reason for c in answer.choices]
    for kind in ("Text", "Reasoning", "Refusal", "ToolCall", "Image", "Audio"):
        assert parts_of(again, kind) == parts_of(answer, kind)


def parts_of(answer: Any, kind: str) -> list[Any]:
    """The parts of one kind of each choice; texts joined, as a body has one field for them."""
    found = []
    for choice in answer.choices:
        parts = [part for part in choice.parts if type(part).__name__ == kind]
        if kind == "Audio":
            found.append(["".join(part.data for part in parts[-1:])])
        elif parts and hasattr(parts[0], "text"):
            found.append(["".join(part.text for part in parts)])
        else:
            found.append(parts)
    return found


@given(st.lists(st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS), max_size=3))
def test_reported_usage_reads_back(reports: list[Usage]) -> None:
    """As one report of what they say together."""
    events = [e.Started("c1", "m", 1), *map(e.UsageReported, reports), e.Finished()]
    found = fold(decode(encoder(wants_usage=True).encode(events))).usage
    expected = functools.reduce(Usage.merge, reports) if reports else None
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.input_tokens, found.output_tokens) == (
            expected.input_tokens or 0,
            expected.output_tokens or 0,
        )


# ---------------------------------------------------------------- bytes, cut and broken


@functools.cache
def bodies() -> tuple[bytes, ...]:
    """Recorded streams, some of every provider where there are any, and one of our own."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}
    own = stream(
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"reasoning": "hm", "reasoning_details": [{"index": 0, "text": "hm"}]}, x=1),
        chunk({"content": "hi é"}, choice={"logprobs": {"content": [{"token": "hi"}]}}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        chunk({"images": [{"image_url": {"url": "u"}}], "audio": {"data": "QQ"}}),
        chunk({}, "tool_calls", usage={"prompt_tokens": 3}),
    )
    found: dict[str, list[bytes]] = {}
    for exchange in exchanges("chat-completions") if FOLDER.is_dir() else ():
        if exchange.is_stream and len(exchange.body) < 6_000:
            found.setdefault(exchange.provider, []).append(exchange.body)
    return (own, *itertools.chain.from_iterable(group[:6] for group in found.values()))


BODIES = st.deferred(lambda: st.sampled_from(bodies()))
JUNK = st.binary(max_size=4) | st.sampled_from(
    [
        b"\n",
        b"\n\n",
        b"\r",
        b"data: ",
        b"{",
        b"null",
        b'"',
        b"\\ud83d",
        b"[DONE]",
        b"event: error\n",
    ]
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A stream with pieces taken out, put in, or said twice."""
    body = draw(BODIES)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.integers(0, 40)))
        middle = draw(st.sampled_from([b"", body[start:stop] * 2]) | JUNK)
        body = body[:start] + middle + body[stop:]
    return body


def use(body: bytes) -> None:
    """Reads a body and does with the events whatever is done with events."""
    events = decode(body)
    for model in (None, "other"):
        for wants_usage in (True, False):
            decode(encoder(model, wants_usage=wants_usage).encode(events))
    try:
        answer = fold(events)
    except UpstreamFault:
        return
    json.loads(ChatServer().encode_answer(answer, chat_call()))


@given(broken())
def test_broken_streams_are_read_or_fail(body: bytes) -> None:
    """Legal events to a terminal one, never anything else."""
    use(body)


@given(BODIES | broken(), st.data())
def test_any_cut_gives_the_same_events(body: bytes, data: st.DataObject) -> None:
    """Of sound and of broken streams."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[i:j] for i, j in itertools.pairwise([0, *cuts, len(body)])]
    assert plain(decode(*pieces)) == plain(decode(body))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3)
    | st.sampled_from(["stop", "error", "text", "image_url", "function"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "index", "id", "function", "delta", "url", "error"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a JSON value."""
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    inner = [place for key in keys for place in places(value[key])]
    return [(value, key) for key in keys] + inner


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A stream in whose JSON some values are of another type, or gone."""
    body = draw(st.sampled_from([bodies()[0], draw(BODIES)]))
    frames = body.split(b"\n\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(frames) - 1))
        head, _, text = frames[index].partition(b": ")
        try:
            value = json.loads(text)
        except ValueError:
            continue
        container, key = draw(st.sampled_from(places(value) or [([None], 0)]))
        if draw(st.booleans()) or isinstance(container, list):
            container[key] = draw(VALUES)
        else:
            del container[key]
        frames[index] = head + b": " + json.dumps(value).encode()
    return b"\n\n".join(frames)


@given(twisted())
def test_values_of_wrong_types_are_read_or_fail(body: bytes) -> None:
    """Whatever a server puts in the place of what is expected."""
    use(body)


@given(VALUES | st.builds(lambda value: {"choices": [{"message": value}]}, VALUES))
def test_any_json_in_place_of_an_answer_is_read_or_fails(value: Any) -> None:
    """Also where no stream was asked for."""
    decode_whole(json.dumps(value).encode())
