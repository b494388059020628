"""Requests with anything in the place of anything: read or refused, and then written or refused."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lipstream.canonical.losses import losses
from lipstream.canonical.seal import Seal, packed
from lipstream.errors import ClientFault
from lipstream.protocols.openai_chat import CLIENT, SERVER
from lipstream.upstream.seals import SealMemory
from tests.recordings import FOLDER, exchanges

SIGNATURE = packed(Seal("gemini", "sig", "b:m"))
OURS = packed(Seal("openai_chat", "sig", "", {"reasoning_details": [1], "extra_content": {"a": 1}}))
OWN: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "name": "n", "content": [
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}},
            {"type": "file", "file": {"file_data": "QQ", "filename": "n"}}]},
        {"role": "assistant", "content": None, "reasoning": "hm", "reasoning_details": [
            {"type": "reasoning.encrypted", "data": SIGNATURE, "index": 0},
            {"type": "reasoning.encrypted", "data": OURS, "index": 1}],
         "tool_calls": [{"id": "a", "type": "function",
                         "function": {"name": "f", "arguments": "{}"},
                         "extra_content": {"google": {"thought_signature": SIGNATURE}}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "assistant", "refusal": "no", "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "1"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}},
              {"type": "custom", "custom": {"name": "c"}}],
    "functions": [{"name": "g"}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "stop": ["a"], "n": 1, "temperature": 1, "max_completion_tokens": 5, "user": "u",
    "stream_options": {"include_usage": True}, "metadata": {"a": "b"}, "reasoning_effort": "low",
}  # fmt: skip


@functools.cache
def requests() -> tuple[bytes, ...]:
    """Some that clients sent, and one with everything."""
    recorded = exchanges("chat-completions") if FOLDER.is_dir() else ()
    texts = [json.dumps(exchange.request) for exchange in recorded if exchange.request is not None]
    small = [text for text in texts if len(text) < 3_000]
    return tuple(text.encode() for text in (json.dumps(OWN), *small[::4]))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=3)
    | st.sampled_from(["text", "tool", "function", "assistant", SIGNATURE, OURS]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "id", "function", "content", "data"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    inner = [v for v in (value[key] for key in keys) if isinstance(v, dict | list)]
    return [(value, key) for key in keys] + [place for v in inner for place in places(v)]


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A request in which some values are of another type, or gone."""
    request = json.loads(draw(st.sampled_from(requests())))
    for _ in range(draw(st.integers(0, 4))):
        found = places(request)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        if draw(st.booleans()):
            container[key] = draw(VALUES)
        else:
            del container[key]
    return json.dumps(request).encode()


@given(twisted())
def test_request_is_read_and_written_or_refused(body: bytes) -> None:
    """To its own protocol, as the call of another one, and to whomever its seals are."""
    try:
        call = SERVER.decode_request(body)
    except ClientFault:
        return
    for given_call in (call, call.changed(dialect="other")):
        losses(given_call, "other", CLIENT.support)
        for model in ("m", "gpt-4o"):
            seen = SealMemory().addressed(given_call, f"b:{model}")
            try:
                written = CLIENT.encode_request(seen, model, is_streaming=True)
            except ClientFault:
                continue
            assert json.loads(written)["model"] == model


CUT = st.builds(lambda body, at: body[:at], twisted(), st.integers(0, 999))


@given(st.binary(max_size=30) | CUT)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Also a request that was cut off."""
    with contextlib.suppress(ClientFault):
        SERVER.decode_request(body)
