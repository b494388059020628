"""Streams between a client and an upstream of this dialect: passed on, unless something changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lipstream.canonical import events as e
from lipstream.canonical.problem import Problem, ProblemKind
from tests.protocols.openai_responses.building import (
    HEAD,
    Fields,
    added,
    call,
    completed,
    created,
    datas,
    decode,
    delta,
    done,
    encoder,
    event,
    frame,
    message,
    numbered,
    part,
    reasoning,
    stream,
    text_stream,
)

SEARCH: Fields = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {}}
SUMMARY = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
TEXT = {"item_id": "msg_1", "output_index": 2, "content_index": 0}
HI = message("hi", phase="final_answer")
THOUGHT = reasoning("hm", encrypted_content="E")
RICH = numbered(
    [
        created(billing={"payer": "me"}),
        event("queued", response={**HEAD, "status": "queued"}),
        added(THOUGHT),
        event("reasoning_summary_part.added", **SUMMARY, part={"type": "summary_text", "text": ""}),
        delta("reasoning_summary_text", "hm", obfuscation="x"),
        event("reasoning_summary_text.done", **SUMMARY, text="hm"),
        event(
            "reasoning_summary_part.done", **SUMMARY, part={"type": "summary_text", "text": "hm"}
        ),
        done(THOUGHT),
        added(SEARCH, 1),
        event("web_search_call.searching", item_id="ws_1", output_index=1),
        done(SEARCH, 1),
        added(HI, 2),
        event("content_part.added", **TEXT, part=part("")),
        {**delta("output_text", "hi", 2), "logprobs": []},
        event("output_text.annotation.added", **TEXT, annotation={"url": "u"}),
        event("output_text.done", **TEXT, text="hi"),
        event("content_part.done", **TEXT, part=part("hi")),
        done(HI, 2),
        added(call(), 3),
        {**delta("function_call_arguments", "{}", 3)},
        event("function_call_arguments.done", item_id="fc_1", output_index=3, arguments="{}"),
        done(call(), 3),
        event("brand_new.event", what=[1, {"x": None}]),
        completed(THOUGHT, SEARCH, HI, call(), usage={"input_tokens": 1}, more="x"),
    ]
)


def told(events: list[e.Event], model: str | None = None) -> list[Any]:
    """What the client reads; each event of its own write must be the same as all in one."""
    whole = encoder(model).encode(events)
    client = encoder(model)
    place, pieces = 0, b""
    while place < len(events):
        source = events[place].source
        count = max(1, source.count if source else 1)
        pieces += client.encode(iter(events[place : place + count]))
        place += count
    assert pieces == whole
    return datas(whole)


def test_stream_passes_unchanged() -> None:
    """Every event with every field, and the end marker after it."""
    assert told(decode(stream(*RICH))) == [*RICH, "[DONE]"]


def test_id_is_the_upstreams() -> None:
    """A later request goes on from it."""
    client = encoder()
    assert client.response_id == "resp_1"
    client.encode(decode(stream(created(id="gen-7"), completed()))[:2])
    assert client.response_id == "gen-7"


def test_events_without_names_and_numbers_pass() -> None:
    """With the name that clients look for."""
    values = [created(), added(message("hi")), delta("output_text", "hi"), completed(message("hi"))]
    body = b"".join(frame(value).partition(b"\n")[2] for value in values)
    assert told(decode(body)) == [*values, "[DONE]"]


def test_replaced_model_changes_nothing_else() -> None:
    """It is told in every event that has the response."""
    expected = [
        {**value, "response": {**value["response"], "model": "alias"}}
        if "response" in value
        else value
        for value in RICH
    ]
    assert told(decode(stream(*RICH)), "alias") == [*expected, "[DONE]"]


def test_field_that_cannot_be_read_is_left_out_where_the_model_is_replaced() -> None:
    """Else it passes with the event."""
    data = json.dumps({**created(), "sequence_number": 0})[:-1].encode() + b',"odd":1e999}'
    events = decode(frame(data) + stream(completed()))
    found = told(events, "alias")
    assert found[0]["response"]["model"] == "alias"
    assert "odd" not in found[0]
    assert "odd" in told(events)[0]


def test_odd_line_ends_are_escaped_on_the_way() -> None:
    """The text is the same."""
    values = text_stream("a\u2028b")
    body = "".join(f"event: {v['type']}\ndata: {encoded(v)}\n\n" for v in numbered(values)).encode()
    assert "\u2028" in body.decode()
    out = encoder().encode(decode(body))
    assert "\u2028" not in out.decode()
    assert datas(out) == [*numbered(values), "[DONE]"]


def encoded(value: Fields) -> str:
    """JSON with nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False)


Change = Callable[[e.Event], e.Event | None]


def changed(change: Change, values: list[Fields] = RICH) -> list[Any]:
    """What the client reads when a stage changes or drops events."""
    events = [new for x in decode(stream(*values)) if (new := change(x)) is not None]
    found = told(events)
    numbers = [value["sequence_number"] for value in found[:-1]]
    assert numbers == sorted(set(numbers))
    return found


def text_changed(x: e.Event) -> e.Event:
    """A stage that replaces text."""
    return x.changed(text="HI") if isinstance(x, e.TextDelta) else x


def without(kind: type[e.Event]) -> Change:
    """A stage that takes out events of a kind."""
    return lambda x: None if isinstance(x, kind) else x


def test_changed_text_is_told_changed_to_the_end() -> None:
    """Under the ids that the client knows; what was over before is repeated as it was."""
    found = changed(text_changed)
    assert found[:13] == RICH[:13]
    assert '"hi"' not in str(found[13:]).replace("'", '"')
    last = found[-2]
    assert last["type"] == "response.completed"
    assert last["response"]["output"][:2] == [THOUGHT, SEARCH]
    item = last["response"]["output"][2]
    assert (item["id"], item["content"][0]["text"]) == ("msg_1", "HI")
    assert last["response"]["output"][3]["call_id"] == "c1"
    assert last["response"]["billing"] == {"payer": "me"}
    assert last["response"]["usage"] == {"input_tokens": 1}
    assert last["response"]["more"] == "x"


@pytest.mark.parametrize(
    ("kind", "secret"),
    [(e.TextDelta, "hi"), (e.ReasoningDelta, "hm"), (e.ToolCallDelta, "{}")],
)
def test_text_that_was_taken_out_is_not_told_at_the_end(kind: type[e.Event], secret: str) -> None:
    """Neither at the end of its part or item, nor at that of the response."""
    found = changed(without(kind))
    assert f'"{secret}"' not in str(found).replace("'", '"')
    assert found[-2]["type"] == "response.completed"
    assert found[-1] == "[DONE]"


def test_text_told_by_the_final_response_alone_may_be_taken_out() -> None:
    """Or by the event at the end of its item."""
    for values in (
        [created(), completed(message("hi"))],
        [created(), done(message("hi")), completed(message("hi"))],
        [created(), added(message("hi")), delta("output_text", "hi"), completed(message("hi"))],
        [created(), added(message("hi")), done(message("hi")), completed(message("hi"))],
    ):
        assert told(decode(stream(*values))) == [*values, "[DONE]"]
        found = changed(without(e.TextDelta), numbered(values))
        assert "hi" not in str(found)


def test_text_added_by_a_stage_is_told() -> None:
    """In the message that is open, and again at the end."""
    events = decode(stream(*numbered(text_stream("h", "i"))))
    first = next(i for i, x in enumerate(events) if isinstance(x, e.TextDelta))
    events.insert(first + 1, e.TextDelta("!"))
    found = told(events)
    texts = [v["delta"] for v in found[:-1] if v["type"] == "response.output_text.delta"]
    assert texts == ["h", "!", "i"]
    assert found[-2]["response"]["output"][0]["content"][0]["text"] == "h!i"
    assert found[-2]["response"]["output"][0]["id"] == "msg_1"


def test_half_of_a_text_that_was_taken_out_is_not_told_at_the_end_of_its_item() -> None:
    """What is left of the text is all of it; the same for reasoning of open models."""
    raw = reasoning(content=[{"type": "reasoning_text", "text": "hi"}])
    for kind, item in (("output_text", message("hi")), ("reasoning_text", raw)):
        pieces = [delta(kind, "h"), delta(kind, "i")]
        values = numbered([created(), added(item), *pieces, done(item), completed(item)])
        assert told(decode(stream(*values))) == [*values, "[DONE]"]
        last = [x for x in decode(stream(*values)) if getattr(x, "text", "") == "i"]
        found = changed(lambda x, last=last: None if x in last else x, values)  # type: ignore[misc]
        assert found[-2]["response"]["output"][0]["content"][0]["text"] == "h"
        assert '"hi"' not in str(found).replace("'", '"')


def test_parts_without_text_pass() -> None:
    """An image in a message, and a text that is none."""
    image = {"type": "output_image", "image_url": "u"}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = message(content=[image, {"type": "output_text", "text": None}])
    values = numbered(
        [
            created(),
            added(item),
            event("content_part.added", **place, part={"type": "output_image"}),
            event("content_part.done", **place, part=image),
            done(item),
            completed(item),
        ]
    )
    assert told(decode(stream(*values))) == [*values, "[DONE]"]


def test_notice_does_not_stop_the_passage() -> None:
    """There is no place for it."""
    events = decode(stream(*RICH))
    events.insert(5, e.Notice("x", "y"))
    assert datas(encoder().encode(events)) == [*RICH, "[DONE]"]


@pytest.mark.parametrize("place", range(1, len(RICH)))
def test_stream_written_anew_from_any_event_on_is_whole(place: int) -> None:
    """All that was begun is ended, and said once."""
    cut = [x for value in [decode(stream(*RICH))] for x in value]
    sources = [x.source for x in cut]
    chosen = list(dict.fromkeys(map(id, sources)))[place]
    events = [x.changed() if id(x.source) == chosen else x for x in cut]
    found = told(events)
    assert found[:place] == RICH[:place]
    output = found[-2]["response"]["output"]
    assert [item["type"] for item in output] == [
        "reasoning",
        "web_search_call",
        "message",
        "function_call",
    ]
    open_items = {v["output_index"] for v in found[:-1] if v["type"].endswith("item.added")}
    over = [v["output_index"] for v in found[:-1] if v["type"].endswith("item.done")]
    assert open_items <= set(over)
    assert len(over) == len(set(over)) == 4
    assert output[2]["content"][0]["text"] == "hi"
    assert output[3]["arguments"] == "{}"


ODD: list[list[Any]] = [
    # events that cannot be passed on as they are: not as OpenAI would send them
    [added(message("hi"), "x")],  # type: ignore[arg-type]
    [event("output_item.added", output_index=0, item=message("hi"))],
    [event("output_item.added", output_index=0, item=None)],
    [delta("output_text", "hi", "x")],  # type: ignore[arg-type]
    [{**delta("output_text", "hi"), "content_index": None}],
    [event("content_part.added", output_index=9, content_index=0, part=part(""))],
    [added(message("hi")), event("content_part.added", output_index=0, part=part(""))],
    [added(message("hi")), event("content_part.added", **TEXT | {"output_index": 0})],
    [
        added(message("hi")),
        event("content_part.added", output_index=0, content_index=0, part=part("hi")),
    ],
    [event("content_part.done", output_index=0, content_index=[], part=part("hi"))],
    [event("reasoning_summary_part.done", output_index=[], summary_index=0, part={})],
    [added(message("hi")), event("content_part.done", output_index=0, content_index=3, part={})],
    [event("output_item.done", output_index=None, item=message("hi"))],
    [event("output_item.done", output_index=0, item=[])],
    [event("in_progress", response=[])],
    [event("in_progress", response={**HEAD, "id": 7})],
    [{"type": 7, "response": {}}],
    [added(message("hi")), delta("output_text", "hi", 9)],
    [{"type": "a\nb: c", "x": 1}],
    [added(call()), {**delta("function_call_arguments", {"a": 1})}],
]


@pytest.mark.parametrize("middle", ODD)
def test_odd_events_break_nothing(middle: list[Any]) -> None:
    """The client gets a whole stream all the same."""
    body = stream(created(), *(json.dumps(value).encode() for value in middle))
    body += stream(completed(message("hi")))
    out = encoder().encode(decode(body))
    assert out.endswith(b"data: [DONE]\n\n")
    last = json.loads(out.split(b"\n\n")[-3].partition(b"data: ")[2])
    texts = [x for x in decode(out) if isinstance(x, e.TextDelta)]
    assert "".join(x.text for x in texts) == "hi"
    assert last["response"]["status"] == "completed"


def test_problem_in_a_passed_stream_goes_on_with_its_numbers() -> None:
    """And fails the response that the upstream began."""
    client = encoder()
    client.encode(decode(stream(*RICH[:9])))
    error, failed = datas(client.encode_problem(Problem(502, ProblemKind.UPSTREAM, "broken")))
    assert (error["sequence_number"], failed["sequence_number"]) == (9, 10)
    assert failed["response"]["billing"] == {"payer": "me"}
    assert failed["response"]["output"] == [THOUGHT]


def test_stream_of_another_dialects_client_is_not_passed() -> None:
    """The call decides."""
    events = decode(stream(*text_stream("hi")))
    found = datas(encoder(dialect="other").encode(events))
    assert found[-2]["response"]["id"] == "resp_1"
    assert found[-2]["response"]["output"][0]["id"] != "msg_1"
