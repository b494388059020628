"""The lines of an answer as canonical events."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.errors import FaultKind, UpstreamFault
from lipstream.lifecycle.grammar import Grammar
from lipstream.protocols.acp import AgentRequest, PromptDecoder, Show

NUMBER = 2**53 + 1
START: e.Batch = [e.Started(model="agent"), e.MessageStarted()]
R, F = e.FinishReason, FaultKind


def line(**fields: Any) -> bytes:
    """One message."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def update(kind: str, **fields: Any) -> bytes:
    """One notification of the session."""
    params = {"sessionId": "s", "update": {"sessionUpdate": kind, **fields}}
    return line(method="session/update", params=params)


def say(text: str, kind: str = "agent_message_chunk") -> bytes:
    """A piece of text."""
    return update(kind, content={"type": "text", "text": text})


def result(**fields: Any) -> bytes:
    """The end."""
    return line(id=NUMBER, result=fields)


END = result(stopReason="end_turn")


def decode(*pieces: bytes, show: Show | None = None) -> tuple[e.Batch, PromptDecoder]:
    """All events of a body, which satisfy the grammar."""
    decoder = PromptDecoder(NUMBER, "s", "agent", show or Show())
    events = [event for piece in pieces for event in decoder.feed(piece)]
    events += decoder.end()
    Grammar().check(events)
    return events, decoder


def content(*pieces: bytes, show: Show | None = None) -> e.Batch:
    """The events between start and end of a good answer."""
    events, decoder = decode(*pieces, END, show=show)
    assert (events[:2], decoder.is_settled) == (START, True)
    assert events[-2:] == [e.MessageFinished(R.STOP), e.Finished()]
    return events[2:-2]


def failure(*pieces: bytes) -> UpstreamFault:
    """How a bad answer ends."""
    events, _ = decode(*pieces)
    last = events[-1]
    assert isinstance(last, e.StreamFailed)
    return last.fault


# ---------------------------------------------------------------- updates


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"type": "text", "text": " a "}, " a "),
        ({"type": "text", "text": "a", "textDelta": "b"}, "b"),
        ({"type": "text", "text": "a", "textDelta": " "}, "a"),
        ({"textDelta": "b"}, "b"),
        ({"textDelta": "b", "type": "other"}, "b"),
        ({"type": "text", "textDelta": " \n"}, " \n"),
    ],
)
def test_text_is_the_delta_or_the_text(said: Any, expected: str) -> None:
    """Nothing is trimmed, white space is text, too."""
    assert content(update("agent_message_chunk", content=said)) == [e.TextDelta(expected)]
    assert content(update("agent_thought_chunk", content=said)) == [e.ReasoningDelta(expected)]


@pytest.mark.parametrize(
    "nothing",
    [
        say(""),
        update("agent_message_chunk", content={"type": "text", "text": 7}),
        update("agent_message_chunk", content=None),
        update("agent_message_chunk"),
        update("agent_thought_chunk", content={"type": "image", "text": "x"}),
        update("current_mode_update"),
        update("user_message_chunk", content={"type": "text", "text": "hi"}),
        update("available_commands_update", availableCommands=[]),
        line(method="session/update"),
        line(method="session/update", params={"update": []}),
        line(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": 1}}),
        say("other").replace(b'"s"', b'"t"'),
        line(method="other/notification", params={}),
        line(id=NUMBER - 1, result={}),
        line(id=NUMBER, method="m", result={}),
        line(),
        b" \r\n",
    ],
)
def test_what_says_nothing_gives_nothing(nothing: bytes) -> None:
    """Empty pieces, unknown updates, what belongs to others."""
    assert content(nothing) == []


def test_session_may_go_unnamed() -> None:
    """An answer has one session anyway."""
    unnamed = say("a").replace(b'"sessionId": "s", ', b"")
    assert b"sessionId" not in unnamed
    assert content(unnamed) == [e.TextDelta("a")]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (update("plan", entries=[{"content": "x"}]), "[plan]\n"),
        (update("plan", title="Do it"), "[plan] Do it\n"),
        (update("current_mode_update", modeId="ask"), "[mode] ask\n"),
        (update("current_mode_update", mode="code"), "[mode] code\n"),
        (update("current_mode_update", currentModeId="ask", mode=7), "[mode] ask\n"),
    ],
)
def test_plans_and_modes_are_reasoning(told: bytes, expected: str) -> None:
    """In a line of their own."""
    assert content(told) == [e.ReasoningDelta(expected)]


def codes(events: e.Batch) -> list[str]:
    """Those of the notices."""
    return [event.code for event in events if isinstance(event, e.Notice)]


def test_what_is_not_shown_is_noted_at_most() -> None:
    """Thoughts are left out, plans and modes are told to be there."""
    show = Show(thoughts=False, plan=False, mode=False)
    thought, plan = say("hm", "agent_thought_chunk"), update("plan", title="x")
    mode = update("current_mode_update", modeId="ask")
    events = content(thought, plan, mode, say("a"), show=show)
    assert codes(events) == ["acp_plan", "acp_mode"]
    assert events[2:] == [e.TextDelta("a")]


def test_tools_are_noted() -> None:
    """They are the agent's own: nobody else can answer them."""
    events = content(update("tool_call", title="ls"), update("tool_call_update", status="done"))
    assert codes(events) == ["acp_tool_unmapped"] * 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"data": "AAAA", "mimeType": "image/gif"}, ("data:image/gif;base64,AAAA", "image/gif")),
        ({"data": "iVBORw0KGgo"}, ("data:image/png;base64,iVBORw0KGgo", "image/png")),
    ],
)
def test_image_is_handed_on(said: dict[str, str], expected: tuple[str, str]) -> None:
    """As a data URL."""
    events = content(update("agent_message_chunk", content={"type": "image", **said}))
    assert events == [e.Media("image", *expected)]


@pytest.mark.parametrize(
    "said",
    [
        {"type": "image"},
        {"type": "image", "data": "ä"},
        {"type": "image", "data": "AA", "mimeType": "ä"},
        {"type": "audio", "data": "AA"},
    ],
)
def test_content_of_another_kind_is_noted(said: dict[str, str]) -> None:
    """It is not left out in silence."""
    assert codes(content(update("agent_message_chunk", content=said))) == ["acp_content_unmapped"]


# ---------------------------------------------------------------- requests


def test_requests_of_the_agent_are_collected() -> None:
    """With their ids as they were written; they are no events."""
    decoder = PromptDecoder(NUMBER, "s")
    asks = line(id="a-1", method="fs/read", params={"path": "/x"}) + line(id=1e3, method="ask")
    assert decoder.feed(asks) == []
    assert decoder.take_requests() == [
        AgentRequest(b'"a-1"', "fs/read", {"path": "/x"}),
        AgentRequest(b"1000.0", "ask", None),
    ]
    assert decoder.take_requests() == []


# ---------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stopReason": "end_turn"}, e.MessageFinished(R.STOP)),
        ({}, e.MessageFinished(R.STOP)),
        ({"stopReason": "max_tokens"}, e.MessageFinished(R.LENGTH)),
        (
            {"stopReason": "max_turn_requests"},
            e.MessageFinished(R.LENGTH, detail="max_turn_requests"),
        ),
        ({"stopReason": "refusal"}, e.MessageFinished(R.REFUSAL)),
        ({"stopReason": "new"}, e.MessageFinished(R.STOP, detail="new")),
    ],
)
def test_stop_reasons_are_told(fields: dict[str, str], expected: e.Event) -> None:
    """The agent's own word goes along where it says more. An empty answer is an answer."""
    assert decode(result(**fields))[0] == [*START, expected, e.Finished()]


def test_nothing_counts_after_the_end() -> None:
    """Not even a second one."""
    events, decoder = decode(say("a"), END + say("b"), END, b"}\n" * 3)
    assert events == [*START, e.TextDelta("a"), e.MessageFinished(R.STOP), e.Finished()]
    assert decoder.dropped_events == 0


def test_id_as_text_ends_it_as_well() -> None:
    """Some agents write numbers so."""
    events, _ = decode(line(id=str(NUMBER), result={}))
    assert events[-1] == e.Finished()


@pytest.mark.parametrize(
    ("pieces", "kind", "is_settled"),
    [
        ((), F.TRUNCATED, False),
        ((say("a"),), F.TRUNCATED, False),
        ((say("a"), END[:-10]), F.TRUNCATED, False),
        ((result(stopReason="cancelled"),), F.TRANSIENT, True),
        ((line(id=NUMBER, result=None),), F.PROTOCOL, True),
        ((line(id=NUMBER),), F.PROTOCOL, True),
        ((line(id=NUMBER, error={"code": -32602}),), F.BAD_REQUEST, True),
        ((line(id=NUMBER, method="m", error={"code": -32602}),), F.BAD_REQUEST, True),
        ((line(id=None, error={"code": -32603}),), F.SERVER, True),
        ((line(error={"code": -32603, "message": "overloaded"}),), F.OVERLOADED, True),
        ((b"<html>\n" * 3,), F.PROTOCOL, False),
        ((b"x" * (2**20 + 1),), F.PROTOCOL, False),
        ((say("a")[:-1], b" " * 2**20), F.PROTOCOL, False),
    ],
)
def test_bad_end_is_a_failure(pieces: tuple[bytes, ...], kind: FaultKind, is_settled: bool) -> None:
    """An error ends the answer, and nothing comes after it. Who has not ended may be at work."""
    events, decoder = decode(*pieces, *([END] if is_settled or kind is F.PROTOCOL else []))
    last = events[-1]
    assert isinstance(last, e.StreamFailed)
    assert (last.fault.kind, decoder.is_settled) == (kind, is_settled)
    assert [type(event) for event in events].count(e.StreamFailed) == 1


def test_line_over_the_limit_at_the_end_is_a_failure() -> None:
    """Also where the body ends with it."""
    decoder = PromptDecoder(NUMBER, "s", limit=4)
    (failed,) = decoder.feed(b"xxxxx")
    assert isinstance(failed, e.StreamFailed)
    assert decoder.end() == []
    assert failure(say("a"), b"{", b"[").kind is F.TRUNCATED
    assert failure(b"{\n{\n{").kind is F.PROTOCOL


def test_single_bad_lines_are_dropped_and_counted() -> None:
    """Only three in a row are too many."""
    events, decoder = decode(b"{\n[]\n", say("a"), b'1\n"x"\n', END)
    assert events[-1] == e.Finished()
    assert decoder.dropped_events == 4


def test_agents_words_stay_in_the_detail() -> None:
    """An error's text may say anything."""
    fault = failure(line(id=NUMBER, error={"code": 1, "message": "ask bob"}))
    assert "bob" not in str(fault)
    assert fault.detail == "ask bob"


# ---------------------------------------------------------------- characters that were cut


def test_halves_of_a_character_are_joined() -> None:
    """Of text and of thoughts each with its own; one that stays alone is replaced."""
    smile = json.dumps("\U0001f600")[1:-1].encode()
    first, second = smile[:6], smile[6:]

    def half(text: bytes, kind: str = "agent_message_chunk") -> bytes:
        return say("@", kind).replace(b"@", text)

    thought = half(first, "agent_thought_chunk")
    events = content(half(b"a" + first), thought, half(second + b"b"), half(b"c" + first))
    said = [e.TextDelta("a"), e.TextDelta("\U0001f600b"), e.TextDelta("c")]
    assert events == [*said, e.ReasoningDelta("\ufffd"), e.TextDelta("\ufffd")]


# ---------------------------------------------------------------- properties

GOOD = b"".join(
    (
        update("plan", title="x"),
        say("hm", "agent_thought_chunk"),
        line(id=7, method="session/request_permission", params={}),
        say("grüße \U0001f600"),
        b'{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk",'
        b'"content":{"type":"text","text":"\\ud83d"}}}}\n',
        update("tool_call"),
        END,
    )
)


@given(st.lists(st.integers(0, len(GOOD)), max_size=12))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    """Reads know nothing of lines."""
    places = sorted({0, len(GOOD), *cuts})
    pieces = [GOOD[start:end] for start, end in itertools.pairwise(places)]
    assert decode(*pieces)[0] == decode(GOOD)[0]


@given(
    st.integers(0, len(GOOD)),
    st.integers(0, 40),
    st.one_of(st.binary(max_size=12), st.sampled_from([b"\n", b"[" * 3000, b"null", b"\\ud800"])),
)
def test_mutated_answers_end_in_one_terminal_event(at: int, length: int, piece: bytes) -> None:
    """No other exception, and the grammar holds."""
    events, _ = decode(GOOD[:at] + piece + GOOD[at + length :])
    assert [type(event) in e.TERMINAL for event in events].index(True) == len(events) - 1
