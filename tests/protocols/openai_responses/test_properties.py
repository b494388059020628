"""What holds for every stream and every request: round trips, cuts, and whatever may be broken."""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.canonical.ask import BODY_ALONE
from lipstream.canonical.events import FinishReason
from lipstream.canonical.limits import CALL_LIMITS
from lipstream.errors import BadRequest, ClientFault, UpstreamFault
from lipstream.protocols.openai_responses import CLIENT
from lipstream.protocols.openai_responses.request_decode import decode_request
from tests.protocols.openai_responses.building import (
    answered,
    custom,
    decode,
    decode_whole,
    encoder,
    fold,
    own_call,
    plain,
    reasoning,
    server,
    stream,
    written,
)
from tests.protocols.openai_responses.test_passing import RICH
from tests.protocols.openai_responses.test_request_encode import BODIES as REQUESTS
from tests.recordings import FOLDER, exchanges

# ---------------------------------------------------------------- legal streams

WORDS = st.text(min_size=1, max_size=6)
REASONS = st.sampled_from(
    [FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.CONTENT_FILTER]
)


@st.composite
def contents(draw: st.DrawFn) -> list[e.Event]:
    """The inside of one message; calls may overlap."""
    found: list[e.Event] = []
    calls = 0
    for kind in draw(st.lists(st.integers(0, 7), max_size=8)):
        if kind == 0:
            found.append(e.TextDelta(draw(WORDS)))
        elif kind == 1:
            found.append(e.ReasoningDelta(draw(WORDS)))
        elif kind == 2:
            found.append(e.RefusalDelta(draw(WORDS)))
        elif kind == 3:
            found.append(e.Media("image", f"https://x/{draw(WORDS)}"))
        elif kind == 4:
            found.append(e.PartFinished(draw(st.sampled_from(["text", "reasoning"]))))
        elif kind == 5 and calls:
            found.append(e.ToolCallDelta(draw(st.integers(0, calls - 1)), draw(WORDS)))
        else:
            form = draw(st.sampled_from(["function", "custom"]))
            found.append(e.ToolCallStarted(calls, f"call-{calls}", draw(WORDS), 0, form))
            calls += 1
    return [*found, *(e.ToolCallFinished(index) for index in range(calls))]


@st.composite
def streams(draw: st.DrawFn) -> list[e.Event]:
    """A legal stream."""
    start = e.Started("resp_1", draw(WORDS), draw(st.integers(1, 9)))
    end = e.MessageFinished(draw(REASONS))
    return [start, e.MessageStarted(), *draw(contents()), end, e.Finished()]


def normal(events: list[e.Event]) -> list[Any]:
    """What has to come through: texts in a row as one, in order; calls by their ids.

    No arguments and an empty object are the same.
    """
    found: list[Any] = []
    for x in events:
        if isinstance(x, e.TextDelta | e.ReasoningDelta | e.RefusalDelta):
            if found and found[-1][0] is type(x):
                found[-1] = (type(x), found[-1][1] + x.text)
            else:
                found.append((type(x), x.text))
        elif isinstance(x, e.Media):
            found.append((e.Media, x.url))
        elif isinstance(x, e.ToolCallStarted):
            found.append((e.ToolCallStarted, x.id, x.name, x.type))
    arguments: dict[int, str] = {}
    for x in events:
        if isinstance(x, e.ToolCallDelta):
            arguments[x.index] = arguments.get(x.index, "") + x.arguments
    return [found, {index: text for index, text in arguments.items() if text != "{}"}]


def reason_of(events: list[e.Event]) -> FinishReason:
    """Of a call, tools are the reason wherever nothing else is."""
    (end,) = (x for x in events if isinstance(x, e.MessageFinished))
    if end.reason in (FinishReason.STOP, FinishReason.TOOL_CALLS):
        has_calls = any(isinstance(x, e.ToolCallStarted) for x in events)
        return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP
    return end.reason


@given(streams())
def test_written_stream_reads_back(events: list[e.Event]) -> None:
    """In content, order and end."""
    again = decode(encoder().encode(events))
    assert normal(without_gaps(again)) == normal(events)
    assert reason_of(again) == reason_of(events)
    assert again[0] == events[0]


def without_gaps(events: list[e.Event]) -> list[e.Event]:
    """Without the seals of reasoning, which are no content."""
    return [x for x in events if not (isinstance(x, e.PartFinished) and x.seal)]


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
def test_whole_answer_reads_back(events: list[e.Event]) -> None:
    """The answer in one body says what the stream says."""
    again = decode_whole(json.dumps(answered(events)).encode())
    assert parts_of(again) == parts_of(events)
    assert reason_of(again) == reason_of(events)


def parts_of(events: list[e.Event]) -> list[Any]:
    """Texts by kind, calls, media: texts and calls may stand in another order to each other."""
    found, arguments = normal(events)
    texts: dict[Any, str] = {}
    others = []
    for entry in found:
        if len(entry) == 2 and entry[0] is not e.Media:
            texts[entry[0]] = texts.get(entry[0], "") + entry[1]
        else:
            others.append(entry)
    return [texts, others, arguments]


# ---------------------------------------------------------------- bytes, cut and broken


@functools.cache
def bodies() -> tuple[bytes, ...]:
    """Recorded streams, some of every provider where there are any, and one of our own."""
    own = stream(*RICH)
    free = {"type": "response.output_item.done", "output_index": 0, "item": custom("x")}
    raw = reasoning(content=[{"type": "reasoning_text", "text": "hm"}], signature="s")
    more = {"type": "response.output_item.done", "output_index": 1, "item": raw}
    found: dict[str, list[bytes]] = {}
    for exchange in exchanges("responses") if FOLDER.is_dir() else ():
        if exchange.is_stream and len(exchange.body) < 20_000:
            found.setdefault(exchange.provider, []).append(exchange.body)
    short = stream(RICH[0], free, more, RICH[-1])
    return (own, short, *itertools.chain.from_iterable(group[:4] for group in found.values()))


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
        decode(encoder(model).encode(events))
    droppable = (e.TextDelta, e.ReasoningDelta, e.Extra, e.PartFinished)
    kept = [x for i, x in enumerate(events) if i % 3 or not isinstance(x, droppable)]
    decode(encoder().encode(kept))
    decode(encoder().encode([x.changed() for x in events]))
    try:
        answer = fold(events)
    except UpstreamFault:
        return
    json.loads(server().encode_answer(answer, own_call()))


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


NAMES = ["type", "text", "id", "role", "content", "output", "item", "part", "arguments", "error"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3)
    | st.sampled_from(["message", "reasoning", "function_call", "output_text", "failed", "user"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=5,
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


def twist(draw: st.DrawFn, value: Any) -> None:
    """Puts something else in some place of a JSON value, or takes it away."""
    container, key = draw(st.sampled_from(places(value) or [([None], 0)]))
    if draw(st.booleans()) or isinstance(container, list):
        container[key] = draw(VALUES)
    else:
        del container[key]


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A stream in whose JSON some values are of another type, or gone."""
    body = draw(st.sampled_from([*bodies()[:2], draw(BODIES)]))
    frames = body.split(b"\n\n")
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(frames) - 1))
        head, _, text = frames[index].partition(b"data: ")
        try:
            value = json.loads(text)
        except ValueError:
            continue
        twist(draw, value)
        frames[index] = head + b"data: " + json.dumps(value).encode()
    return b"\n\n".join(frames)


@given(twisted())
def test_values_of_wrong_types_are_read_or_fail(body: bytes) -> None:
    """Whatever a server puts in the place of what is expected."""
    use(body)


@given(VALUES | st.builds(lambda value: {"object": "response", "output": [value]}, VALUES))
def test_any_json_in_place_of_an_answer_is_read_or_fails(value: Any) -> None:
    """Also where no stream was asked for."""
    events = decode_whole(json.dumps(value).encode())
    server().encode_answer(fold(events), own_call())


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request in which some values are of another type, or gone."""
    value = json.loads(json.dumps({"model": "m", **draw(st.sampled_from(REQUESTS))}))
    for _ in range(draw(st.integers(1, 3))):
        twist(draw, value)
    return json.dumps(value).encode()


@given(requests() | JUNK)
def test_any_request_is_read_or_refused(body: bytes) -> None:
    """What is read can be written, for its own protocol as it was, and for calls of another."""
    try:
        call = decode_request(body, BODY_ALONE, CALL_LIMITS)
    except ClientFault:
        return
    again = json.dumps(written(call)).encode()
    assert decode_request(again, BODY_ALONE, CALL_LIMITS).messages == call.messages
    try:
        CLIENT.encode_request(call.changed(dialect="other"), "m", is_streaming=True)
    except BadRequest as refused:
        code = refused.code or ""
    else:
        code = "unsupported_nothing"
    assert code.startswith("unsupported_")
    server().stream_encoder(call).encode([e.Started("x", "m")])
