"""What OpenAI's own Python client makes of what is written here."""

from __future__ import annotations

import typing
import warnings
from typing import Any

import pytest
from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from lipstream.canonical import events as e
from lipstream.canonical.collect import Answer
from lipstream.canonical.events import FinishReason
from lipstream.canonical.parts import Reasoning, Refusal, Text, ToolCall
from lipstream.canonical.problem import Problem, ProblemKind
from lipstream.canonical.seal import Seal
from lipstream.canonical.usage import Usage
from tests.protocols.openai_responses.building import (
    BEGIN,
    Fields,
    answered,
    datas,
    encoder,
    fold,
    foreign,
    request,
    server,
)
from tests.protocols.openai_responses.test_recorded import answers

EVENTS: list[e.Event] = [
    *BEGIN,
    e.ReasoningDelta("hm"),
    e.PartFinished("reasoning", Seal("x", "y")),
    e.TextDelta("hi ", 0, ({"token": "hi ", "bytes": [], "logprob": -0.5, "top_logprobs": []},)),
    e.TextDelta("there"),
    e.PartFinished("text"),
    e.RefusalDelta("no"),
    e.ToolCallStarted(0, "a", "f"),
    e.ToolCallDelta(0, '{"x"'),
    e.ToolCallStarted(1, "b", "g", 0, "custom"),
    e.ToolCallDelta(1, "free"),
    e.ToolCallDelta(0, ":1}"),
    e.ToolCallFinished(0, seal=Seal("x", "z")),
    e.ToolCallFinished(1),
    e.Media("image", "data:image/png;base64,QQ=="),
    e.TextDelta("after"),
    e.UsageReported(Usage(input_tokens=3, output_tokens=4, cache_read_tokens=1)),
    e.MessageFinished(FinishReason.TOOL_CALLS),
    e.Finished(),
]

KINDS: dict[str, Any] = {
    typing.get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in typing.get_args(typing.get_args(ResponseStreamEvent)[0])
}


def accumulated(values: list[Any], *, is_ours: bool = True) -> Any:
    """What the client's own helper puts together from a stream; each event is valid, if ours."""
    state: ResponseStreamState[None] = ResponseStreamState(input_tools=omit, text_format=omit)
    for value in values:
        if value == "[DONE]":
            continue
        if is_ours:
            KINDS[value["type"]].model_validate(value)
        event = construct_type_unchecked(value=value, type_=typing.cast(Any, ResponseStreamEvent))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has no name for some items of other providers
            state.handle_event(event)
    return state._completed_response


def said(response: Any) -> list[Any]:
    """What the client's response says."""
    messages = [item for item in response.output if item.type == "message"]
    parts = [part for item in messages for part in item.content]
    calls = [
        (item.call_id, item.name, getattr(item, "arguments", None) or getattr(item, "input", ""))
        for item in response.output
        if item.type in ("function_call", "custom_tool_call")
    ]
    thoughts = [item for item in response.output if item.type == "reasoning"]
    return [
        "".join(part.text for part in parts if part.type == "output_text"),
        "".join(part.refusal for part in parts if part.type == "refusal"),
        "".join(part.text for item in thoughts for part in item.summary),
        calls,
    ]


def meant(answer: Answer) -> list[Any]:
    """The same of the canonical answer."""
    parts = answer.choices[0].parts
    texts = [
        "".join(part.text for part in parts if isinstance(part, kind))
        for kind in (Text, Refusal, Reasoning)
    ]
    calls = [(part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]
    return [*texts, calls]


def test_client_reads_a_stream() -> None:
    """Every event is valid, and together they are the answer."""
    found = accumulated(datas(encoder().encode(EVENTS)))
    assert said(found) == meant(fold(EVENTS))
    assert (found.id, found.model, found.status) == ("resp_1", "m", "completed")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (3, 4)
    assert found.output_text == "hi thereafter"


def test_client_reads_a_whole_answer() -> None:
    """The body is valid and says the same."""
    found = Response.model_validate(answered(EVENTS))
    assert said(found) == meant(fold(EVENTS))


def test_output_that_the_client_sends_back_says_the_same() -> None:
    """Its own dump of every item is input again."""
    output = answered(EVENTS)["output"]
    dumped = [item.model_dump() for item in Response.model_validate(answered(EVENTS)).output]
    again = [request(input=items).messages[0].parts for items in (output, dumped)]
    for parts in again:
        texts = "".join(part.text for part in parts if isinstance(part, Text))
        assert texts == "hi thereafter"
        calls = [(part.id, part.seal) for part in parts if isinstance(part, ToolCall)]
        assert calls == [("a", Seal("x", "z", call_id="a")), ("b", None)]
        (thought,) = (part for part in parts if isinstance(part, Reasoning))
        assert (thought.text, thought.seal) == ("hm", Seal("x", "y"))


@pytest.mark.parametrize("reason", FinishReason)
def test_client_reads_every_end(reason: FinishReason) -> None:
    """Completed, incomplete or failed."""
    events = [*BEGIN, e.TextDelta("hi"), e.MessageFinished(reason), e.Finished()]
    values: list[Fields] = datas(encoder().encode(events))
    accumulated(values)
    Response.model_validate(answered(events))


def test_client_reads_an_error() -> None:
    """Both of its events."""
    client = server().stream_encoder(request())
    client.encode(BEGIN)
    problem = Problem(502, ProblemKind.UPSTREAM, "broken")
    for value in datas(client.encode_problem(problem)):
        event = construct_type_unchecked(value=value, type_=KINDS[value["type"]])
        assert event.type in ("error", "response.failed")


def test_client_reads_recorded_answers_of_all_providers() -> None:
    """Passed on, and written anew as of an upstream of another protocol."""
    seen: dict[tuple[str, bool], int] = {}
    for exchange, events in answers():
        key = (exchange.provider, exchange.is_stream)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 6 or len(exchange.body) > 40_000:
            continue
        expected = meant(fold(foreign(events)))
        events = [
            x.changed(usage=Usage(input_tokens=1)) if isinstance(x, e.UsageReported) else x
            for x in foreign(events)
        ]
        found = accumulated(datas(encoder().encode(events)))
        if found is not None:  # an incomplete response is none to this helper
            assert said(found) == expected, exchange.name
        Response.model_validate(answered(events))
