"""Chunks that are read by the one before them give what a parser gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical import events as e
from lipstream.framing import repeats
from lipstream.framing.sse import encode_json
from lipstream.protocols import openai_chat
from tests.recordings import exchanges

TEXTS = st.text(max_size=6)
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS),
    st.builds(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, TEXTS),
    st.builds(lambda text: {"reasoning_content": text}, TEXTS),
    st.builds(lambda text: {"content": text, "refusal": text}, TEXTS),
    st.just({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}),
)


def chunk(delta: object, finish: str | None = None) -> bytes:
    fields = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + encode_json(fields) + b"\n\n"


def decoded(stream: bytes) -> Iterator[tuple[str, tuple[bytes, int] | None]]:
    """The events, as they show themselves, with what they were read from."""
    decoder = openai_chat.ChatClient(new_id=lambda: "made-up").stream_decoder()
    for event in (*decoder.feed(stream), *decoder.end()):
        source = event.source
        yield repr(event), None if source is None else (source.data, source.count)


def both_ways(stream: bytes, patch: pytest.MonkeyPatch) -> tuple[list[object], list[object]]:
    """With what was learned, and without learning anything."""
    learning: list[object] = list(decoded(stream))
    with patch.context() as context:
        context.setattr(repeats, "MAX_MISSES", 0)
        return learning, list(decoded(stream))


@given(st.lists(DELTAS, max_size=12), st.sampled_from(["stop", None]))
def test_learning_changes_nothing(deltas: list[object], finish: str | None) -> None:
    """Neither the events, nor what may be passed on of them."""
    chunks = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas)]
    late = chunk({"content": "late"})
    stream = b"".join([*chunks, chunk({}, finish), late, b"data: [DONE]\n\n"])
    learning, parsing = both_ways(stream, pytest.MonkeyPatch())
    assert parsing == learning


def test_nothing_is_learned_of_a_chunk_that_is_a_failure_too() -> None:
    """Else the same chunk again would say its text after the end."""
    fields = {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}}]}
    failed = b"data: " + encode_json({**fields, "error": {"message": "m"}}) + b"\n\n"
    decoder = openai_chat.CLIENT.stream_decoder()
    events = decoder.feed(chunk({"content": "b"}) + failed * 2)
    assert [type(event) for event in events[-2:]] == [e.TextDelta, e.StreamFailed]


def test_learning_changes_nothing_in_recorded_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """What real servers send."""
    for exchange in exchanges("chat-completions"):
        if exchange.is_stream:
            learning, parsing = both_ways(exchange.body, monkeypatch)
            assert parsing == learning, exchange.name
