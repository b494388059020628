"""The chunks that there are most of, and what is in them that nobody has looked into."""

from __future__ import annotations

import pytest

from lipstream.canonical import events as e
from lipstream.protocols.gemini.stream_decode import GeminiStreamDecoder
from tests.protocols.gemini.building import checked

CHUNK = b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}]}}],"usageMetadata":%b}\n\n'
END = b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'


@pytest.mark.parametrize("usage", [b'{"a":"\xff"}', b'{"a\xc3":1}'])
def test_chunk_whose_counts_are_no_text_is_dropped(usage: bytes) -> None:
    """Its bytes would be passed on else, and no client could read them."""
    decoder = GeminiStreamDecoder()
    body = CHUNK % (b"a", b"{}") + CHUNK % (b"b", usage) + CHUNK % (b"c", b"{}") + END
    events = checked(decoder.feed(body) + decoder.end())
    assert [event.text for event in events if isinstance(event, e.TextDelta)] == ["a", "c"]
    assert decoder.dropped_events == 1
