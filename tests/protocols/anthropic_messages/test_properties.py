"""What holds for every stream: round trips, cuts, and whatever may be broken."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.events import FinishReason
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from lipstream.errors import BadRequest, TooLarge, UpstreamFault
from lipstream.protocols.anthropic_messages import CLIENT, SERVER
from tests.protocols.anthropic_messages.building import (
    NAME,
    ORIGIN,
    block_start,
    block_stop,
    datas,
    decode,
    decode_whole,
    delta,
    encoder,
    fold,
    own_call,
    plain,
    text_start,
    thinking_start,
    tool_start,
    whole,
)
from tests.recordings import FOLDER, exchanges

# ---------------------------------------------------------------- legal streams

WORDS = st.text(min_size=1, max_size=6)
REASONS = st.sampled_from(
    [FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.REFUSAL, FinishReason.PAUSE]
)
FIELDS = st.dictionaries(st.sampled_from(["x", "y"]), st.integers() | WORDS, min_size=1)
SEALS = st.builds(Seal, st.just(NAME), WORDS, st.just(ORIGIN))
COUNTS = st.none() | st.integers(0, 99)
USAGES = st.builds(
    Usage, input_tokens=COUNTS, output_tokens=COUNTS, cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS, reasoning_tokens=COUNTS,
)  # fmt: skip


@st.composite
def contents(draw: st.DrawFn) -> list[e.Event]:
    """The inside of a message, as this protocol tells it: one thing after the other."""
    found: list[e.Event] = []
    calls = 0
    for kind in draw(st.lists(st.integers(0, 4), max_size=5)):
        pieces = draw(st.lists(WORDS, min_size=1, max_size=3))
        if kind == 0:
            found.extend(e.TextDelta(piece) for piece in pieces)
            found.append(e.PartFinished("text"))
        elif kind == 1:
            found.extend(e.ReasoningDelta(piece) for piece in pieces)
            found.append(e.PartFinished("reasoning", draw(SEALS)))
        elif kind == 2:
            fields = {"type": "redacted_thinking"}
            found.append(e.PartFinished("reasoning", Seal(NAME, pieces[0], ORIGIN, fields)))
        elif kind == 3:
            found.append(e.Extra(NAME, "whole_part", {"type": "new", **draw(FIELDS)}))
        else:
            found.append(e.ToolCallStarted(calls, f"call-{calls}", draw(WORDS)))
            found.extend(e.ToolCallDelta(calls, piece) for piece in pieces)
            found.append(e.ToolCallFinished(calls))
            calls += 1
    return found


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """A legal stream."""
    inside = draw(contents())
    end = [e.MessageFinished(draw(REASONS)), e.Finished()]
    return [e.Started("c1", draw(WORDS)), e.MessageStarted(), *inside, *end]


def normalised(events: list[e.Event]) -> list[e.Event]:
    """Without what only stands for wire events, and with texts in one piece."""
    found: list[e.Event] = []
    for event in events:
        is_text = isinstance(event, e.TextDelta | e.ReasoningDelta | e.ToolCallDelta)
        if isinstance(event, e.UsageReported) or (
            isinstance(event, e.Extra) and event.scope != "whole_part"
        ):
            continue
        if is_text and not texts_of(event):
            continue
        found.append(event)
    return found


def texts_of(event: e.Event) -> str:
    """What a delta adds."""
    return str(getattr(event, "text", "") or getattr(event, "arguments", ""))


@given(streams())
def test_written_stream_reads_back(events: list[e.Event]) -> None:
    """Decoding what was encoded gives the events."""
    assert normalised(decode(encoder().encode(events))) == events


@given(streams(), st.data())
def test_batches_do_not_matter(events: list[e.Event], data: st.DataObject) -> None:
    """The bytes are the same however the events are grouped."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    client = encoder()
    pairs = itertools.pairwise([0, *cuts, len(events)])
    assert b"".join(client.encode(events[i:j]) for i, j in pairs) == encoder().encode(events)


@given(streams())
def test_passing_on_is_exact(events: list[e.Event]) -> None:
    """A second proxy passes on what the first one wrote, byte by byte."""
    body = encoder().encode(events)
    assert encoder().encode(decode(body)) == body


@given(streams())
def test_whole_answer_reads_back(events: list[e.Event]) -> None:
    """The answer in one body folds to what the stream folds to."""
    answer = fold(events)
    again = fold(decode_whole(SERVER.encode_answer(answer, own_call())))
    parts = [part for part in answer.choices[0].parts if not hasattr(part, "arguments")]
    assert [part for part in again.choices[0].parts if not hasattr(part, "arguments")] == parts
    assert again.choices[0].reason is answer.choices[0].reason


@given(st.lists(USAGES, max_size=3))
def test_reported_usage_reads_back(reports: list[Usage]) -> None:
    """As what all the reports say together; what nobody counted is nothing."""
    events = [e.Started("c1", "m"), *map(e.UsageReported, reports), e.Finished()]
    found = fold(decode(encoder().encode(events))).usage
    expected = functools.reduce(Usage.merge, reports, Usage())
    cached = (expected.cache_read_tokens or 0) + (expected.cache_write_tokens or 0)
    assert found is not None
    assert found.input_tokens == max(expected.input_tokens or 0, cached)
    assert found.output_tokens == (expected.output_tokens or 0)
    assert found.cache_read_tokens == expected.cache_read_tokens
    assert found.cache_write_tokens == expected.cache_write_tokens
    assert found.reasoning_tokens == expected.reasoning_tokens


@st.composite
def tangled(draw: st.DrawFn) -> list[e.Event]:
    """A legal stream of another protocol, in which calls and texts come in turns."""
    count = draw(st.integers(0, 4))
    queues: list[list[e.Event]] = [
        [
            e.ToolCallStarted(i, f"call-{i}", "f"),
            *(e.ToolCallDelta(i, piece) for piece in draw(st.lists(WORDS, max_size=3))),
            e.ToolCallFinished(i, seal=draw(st.none() | st.just(Seal("gemini", "s")))),
        ]
        for i in range(count)
    ]
    kinds = st.sampled_from([e.TextDelta, e.ReasoningDelta])
    queues.append([draw(kinds)(word) for word in draw(st.lists(WORDS, max_size=4))])
    events: list[e.Event] = [e.Started("c1", "m"), e.MessageStarted()]
    while any(queues):
        events.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return [*events, e.MessageFinished(FinishReason.STOP), e.Finished()]


@given(tangled())
def test_what_comes_in_turns_is_told_in_order(events: list[e.Event]) -> None:
    """One block at a time, closed before the next, each with all that is its own."""
    told = datas(encoder().encode(events))
    check_blocks(told)
    found = fold(decode(encoder().encode(events))).choices[0].parts
    calls = {p.id: p.arguments for p in found if hasattr(p, "arguments")}  # type: ignore[attr-defined]
    expected = fold(events).choices[0].parts
    assert calls == {p.id: p.arguments for p in expected if hasattr(p, "arguments")}  # type: ignore[attr-defined]
    for kind in ("Text", "Reasoning"):
        assert words(found, kind) == words(expected, kind)


def words(parts: Any, kind: str) -> str:
    """All text of a kind."""
    return "".join(part.text for part in parts if type(part).__name__ == kind)


def check_blocks(told: list[Any]) -> None:
    """Blocks are numbered and one is open at a time."""
    open_block, count = None, 0
    for value in told:
        if value.get("type") == "content_block_start":
            assert (open_block, value["index"]) == (None, count)
            open_block, count = count, count + 1
        elif value.get("type") in ("content_block_delta", "content_block_stop"):
            assert value["index"] == open_block
            open_block = None if value["type"] == "content_block_stop" else open_block
    assert open_block is None


# ---------------------------------------------------------------- bytes, cut and broken


@functools.cache
def bodies() -> tuple[bytes, ...]:
    """Recorded streams where there are any, and one of our own."""
    own = whole(
        thinking_start(),
        delta(0, thinking="hm é"),
        delta(0, signature="s"),
        block_stop(),
        text_start(1),
        delta(1, text="a"),
        delta(1, citation={"x": 1}),
        block_stop(1),
        tool_start(2),
        delta(2, partial_json='{"x":1}'),
        block_stop(2),
        block_start(3, type="server_tool_use", id="s", name="n", input={}),
        delta(3, partial_json="{}"),
        block_stop(3),
        block_start(4, type="redacted_thinking", data="r"),
        block_stop(4),
    )
    found = exchanges("messages") if FOLDER.is_dir() else ()
    return (own, *(x.body for x in found if x.is_stream and len(x.body) < 5_000))


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
        stop = min(len(body), start + draw(st.integers(0, 60)))
        middle = draw(st.sampled_from([b"", body[start:stop] * 2]) | JUNK)
        body = body[:start] + middle + body[stop:]
    return body


@st.composite
def shuffled(draw: st.DrawFn) -> bytes:
    """A stream whose events come in another order, twice, or not at all."""
    events = draw(BODIES).split(b"\n\n")
    places = draw(st.lists(st.integers(0, len(events) - 1), max_size=12))
    return b"\n\n".join(events[:3] + [events[place] for place in places]) + b"\n\n"


def use(body: bytes) -> None:
    """Reads a body and does with the events whatever is done with events."""
    events = decode(body)
    is_failed = isinstance(events[-1], e.StreamFailed)
    for model, given_events in ((None, events), ("x", [event.changed() for event in events])):
        told = encoder(model).encode(given_events)
        if not is_failed:
            check_blocks(datas(told))
            assert not isinstance(decode(told)[-1], e.StreamFailed)
    try:
        answer = fold(events)
    except UpstreamFault:
        return
    json.loads(SERVER.encode_answer(answer, own_call()))


@given(broken() | shuffled())
def test_broken_streams_are_read_or_fail(body: bytes) -> None:
    """Legal events to a terminal one, and what is told of them keeps the rules."""
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
    | st.sampled_from(["text", "tool_use", "thinking", "text_delta", "image", "tool_result"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "index", "id", "input", "delta", "source", "error"]),
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


def twist(draw: st.DrawFn, value: Any) -> Any:
    """The value with something in it of another type, or gone."""
    container, key = draw(st.sampled_from(places(value) or [([None], 0)]))
    if draw(st.booleans()) or isinstance(container, list):
        container[key] = draw(VALUES)
    else:
        del container[key]
    return value


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A stream in whose JSON some values are of another type, or gone."""
    frames = draw(st.sampled_from([bodies()[0], draw(BODIES)])).split(b"\n\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(frames) - 1))
        head, _, text = frames[index].partition(b"data: ")
        try:
            value = json.loads(text)
        except ValueError:
            continue
        frames[index] = head + b"data: " + json.dumps(twist(draw, value)).encode()
    return b"\n\n".join(frames)


@given(twisted())
def test_values_of_wrong_types_are_read_or_fail(body: bytes) -> None:
    """Whatever a server puts in the place of what is expected."""
    use(body)


@given(VALUES | st.builds(lambda value: {"content": [value, value]}, VALUES))
def test_any_json_in_place_of_an_answer_is_read_or_fails(value: Any) -> None:
    """Also where no stream was asked for."""
    decode_whole(json.dumps(value).encode())


# ---------------------------------------------------------------- requests

REQUEST: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "url", "url": "https://x"}},
                {"type": "document",
                 "source": {"type": "text", "media_type": "text/plain", "data": "a"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "r"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "tool_result", "tool_use_id": "a", "is_error": False,
                 "content": [{"type": "text", "text": "1"}]},
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "output_format": {"type": "json_schema", "schema": {}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["a"],
}  # fmt: skip


@given(st.data())
def test_twisted_requests_are_read_or_refused(data: st.DataObject) -> None:
    """What is read can be written for an upstream of this protocol, and for one of another."""
    request = json.loads(json.dumps(REQUEST))
    for _ in range(data.draw(st.integers(1, 3))):
        request = data.draw(st.composite(twist)(request))
    try:
        call = SERVER.decode_request(json.dumps(request).encode())
    except (BadRequest, TooLarge):
        return
    json.loads(CLIENT.encode_request(call, "claude-opus-5", is_streaming=True))
    try:
        foreign = call.changed(dialect="openai_chat")
        json.loads(CLIENT.encode_request(foreign, "claude-opus-4-5", is_streaming=True))
    except BadRequest:
        return
