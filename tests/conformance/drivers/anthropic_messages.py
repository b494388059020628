"""Anthropic's SDK."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anthropic

from tests.conformance.drivers.base import (
    KEY,
    PATIENCE,
    Driver,
    encoded,
    given,
    placed,
    plain,
)
from tests.conformance.outcome import Called, Counted, Failure, Outcome, parsed
from tests.conformance.prompt import (
    Allowed,
    Call,
    Link,
    Media,
    Named,
    Part,
    Prompt,
    Replay,
    Result,
    Text,
    Turn,
)

Fields = dict[str, Any]

MAX_TOKENS = 16_000
BUDGET = 8_192

OPTIONS: Mapping[str, Callable[[Any], Fields]] = {
    **plain("max_tokens", "service_tier"),
    "temperature": lambda value: {"extra_body": {"temperature": value}},
    "top_p": lambda value: {"extra_body": {"top_p": value}},
    "top_k": lambda value: {"extra_body": {"top_k": value}},
    "stop": lambda value: {"stop_sequences": value},
    "user": lambda value: {"metadata": {"user_id": value}},
    "parallel_tool_calls": lambda value: {"tool_choice": {"disable_parallel_tool_use": not value}},
    "reasoning_effort": lambda value: {"output_config": {"effort": value}},
    "reasoning_budget": lambda value: {"thinking": {"type": "enabled", "budget_tokens": value}},
    "shows_reasoning": lambda _: {"thinking": {"type": "enabled", "budget_tokens": BUDGET}},
    "json_schema": lambda schema: {
        "output_config": {"format": {"type": "json_schema", "schema": schema}}
    },
}

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}


class AnthropicDriver(Driver):
    """Speaks to the origin."""

    protocol = "anthropic_messages"
    says = frozenset(OPTIONS)

    def __init__(self, origin: str) -> None:
        super().__init__()
        hooks: Any = {"response": [self.noted]}
        self.client = anthropic.Anthropic(
            base_url=origin,
            api_key=KEY,
            max_retries=0,
            timeout=PATIENCE,
            http_client=anthropic.DefaultHttpxClient(trust_env=False, event_hooks=hooks),
        )

    def close(self) -> None:
        """Closes the client."""
        self.client.close()

    def open(self, prompt: Prompt, model: str) -> Any:
        """A stream of events."""
        create: Any = self.client.messages.create
        return create(model=model, stream=True, **request(prompt))

    def whole(self, prompt: Prompt, model: str) -> Outcome:
        """A message."""
        create: Any = self.client.messages.create
        return read(create(model=model, **request(prompt)).to_dict(mode="python"))

    def builder(self) -> AnthropicBuilder:
        """For one stream."""
        return AnthropicBuilder()

    def failure(self, error: Exception) -> Failure | None:
        """What an error says."""
        if not isinstance(error, anthropic.APIError):
            return None
        body: Any = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error") or {}
        response: Any = getattr(error, "response", None)
        headers = response.headers if response is not None else {}
        return Failure(
            error=type(error).__name__,
            status=getattr(error, "status_code", None),
            words=tuple(word for word in (inner.get("type"),) if word),
            message=inner.get("message") or error.message,
            retry_after=headers.get("retry-after"),
            body=error.body,
        )


# ---------------------------------------------------------------- asking


def request(prompt: Prompt) -> Fields:
    """The arguments of ``create``, without the model."""
    fields = placed(prompt.options, OPTIONS)
    choice = {**(_choice(prompt) or {}), **fields.pop("tool_choice", {})}
    if choice:
        choice.setdefault("type", "auto")
    body = {**fields.pop("extra_body", {}), **prompt.raw}
    said = {
        "messages": [_message(turn) for turn in prompt.turns],
        "system": prompt.system or None,
        "tools": [_tool(tool) for tool in prompt.tools] or None,
        "tool_choice": choice or None,
        "extra_headers": dict(prompt.headers) or None,
        "extra_body": body or None,
    }
    return {"max_tokens": MAX_TOKENS} | given(fields) | given(said)


def _message(turn: Turn) -> Fields:
    if len(turn.parts) == 1 and isinstance(turn.parts[0], Text):
        return {"role": turn.role, "content": turn.parts[0].text}
    blocks: list[Any] = []
    for part in turn.parts:
        blocks += part.native if isinstance(part, Replay) else [_block(part)]
    return {"role": turn.role, "content": blocks}


def _block(part: Part) -> Fields:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Link(url):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Media(kind="image"):
            return {"type": "image", "source": _source(part)}
        case Media(kind="document"):
            return {"type": "document", "source": _source(part), "title": part.name}
        case Call():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case Result():
            return _result(part)
        case _:
            raise AssertionError(part)


def _source(media: Media) -> Fields:
    return {"type": "base64", "media_type": media.mime, "data": encoded(media)}


def _result(result: Result) -> Fields:
    text = result.value if isinstance(result.value, str) else json.dumps(result.value)
    content: Any = text
    if result.images:
        content = [{"type": "text", "text": text}, *map(_block, result.images)]
    block = {"type": "tool_result", "tool_use_id": result.call_id, "content": content}
    return block | ({"is_error": True} if result.is_error else {})


def _tool(tool: Any) -> Fields:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.schema}


CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def _choice(prompt: Prompt) -> Fields | None:
    choice = prompt.tool_choice
    if isinstance(choice, Allowed):
        raise AssertionError("Anthropic has no word for a choice of allowed tools")
    if isinstance(choice, Named):
        return {"type": "tool", "name": choice.name}
    return {"type": CHOICES[choice]} if choice else None


# ---------------------------------------------------------------- reading


def read(message: Fields, **more: Any) -> Outcome:
    """What a message says."""
    blocks = message["content"]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    finish = message.get("stop_reason")
    return Outcome(
        text="".join(texts),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=tuple(
            Called(block["id"], block["name"], block["input"])
            for block in blocks
            if block["type"] == "tool_use"
        ),
        finish=FINISHES.get(finish, finish) if finish else None,
        usage=_usage(message.get("usage")),
        refusal=_explanation(message) or "".join(texts) if finish == "refusal" else "",
        images=tuple(_image(block) for block in blocks if block["type"] == "image"),
        proofs=tuple(_proofs(blocks)),
        model=message["model"],
        id=message["id"],
        native=blocks,
        **more,
    )


def _explanation(message: Fields) -> str:
    return (message.get("stop_details") or {}).get("explanation") or ""


def _image(block: Fields) -> str:
    source = block["source"]
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def _proofs(blocks: list[Fields]) -> Iterator[str]:
    for block in blocks:
        proof = block.get("signature") or (
            block.get("data") if block["type"] == "redacted_thinking" else None
        )
        if proof:
            yield proof


def _usage(usage: Fields | None) -> Counted:
    """Anthropic's input leaves out what the cache had to do with."""
    if not usage:
        return Counted()
    read, written = (usage.get(f"cache_{k}_input_tokens") for k in ("read", "creation"))
    details = usage.get("output_tokens_details") or {}
    total = usage.get("input_tokens")
    if total is not None:
        total += (read or 0) + (written or 0)
    return Counted(total, usage.get("output_tokens"), read, written, details.get("thinking_tokens"))


class AnthropicBuilder:
    """Follows the blocks as they open, grow and close, as the documentation tells clients to."""

    def __init__(self) -> None:
        self.message: Fields | None = None
        self.open: int | None = None
        self.json: list[str] = []
        self.is_over = False
        self.has_finish = False
        self.complaints: list[str] = []
        self.pieces = 0

    def add(self, event: Any) -> None:
        """Takes one event."""
        fields = event.to_dict(mode="python")
        self._expect(not self.is_over, f"{event.type} after the end")
        if self.message is None:
            self._expect(event.type == "message_start", f"begins with {event.type}")
        follow = _FOLLOW.get(event.type)
        if follow is None:
            self.complaints.append(f"unknown event {event.type}")
        else:
            follow(self, fields)

    def _on_start(self, event: Fields) -> None:
        self._expect(self.message is None, "a second message")
        self.message = event["message"]
        self._expect(self.message and self.message["id"], "no id")
        self._expect(event["message"]["content"] == [], "content in message_start")
        self._expect(event["message"].get("usage"), "no usage in message_start")

    def _on_block(self, event: Fields) -> None:
        content = self._content
        self._expect(self.open is None, f"block {event['index']} opens in block {self.open}")
        self._expect(event["index"] == len(content), f"block {event['index']} of {len(content)}")
        self._expect(not self.has_finish, "a block after the finish reason")
        self.open = event["index"]
        content.append(dict(event["content_block"]))
        self.json = []
        self.pieces += event["content_block"]["type"] not in ("text", "thinking")

    def _on_delta(self, event: Fields) -> None:
        self._expect(event["index"] == self.open, f"delta of {event['index']} in {self.open}")
        block, delta = self._content[-1], event["delta"]
        kind = delta["type"]
        pair = (block["type"], kind)
        self._expect(pair in _GROWS, f"{kind} in a block of {block['type']}")
        if kind == "input_json_delta":
            self.json.append(delta["partial_json"])
        elif kind == "signature_delta":
            block["signature"] = delta["signature"]
        elif pair in _GROWS:
            name = _GROWS[pair]
            block[name] = block.get(name, "") + delta[name]
        self.pieces += kind != "signature_delta"

    def _on_stop(self, event: Fields) -> None:
        self._expect(event["index"] == self.open, f"stop of {event['index']} in {self.open}")
        block = self._content[-1]
        if block["type"] == "tool_use" and self.json:
            block["input"] = parsed("".join(self.json) or "{}")
        self.open = None

    def _on_message(self, event: Fields) -> None:
        self._expect(self.open is None, f"message_delta in block {self.open}")
        assert self.message is not None
        self.message |= event["delta"]
        self.has_finish = bool(event["delta"].get("stop_reason"))
        self._expect(self.has_finish, "message_delta without a stop reason")
        usage = {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
        self.message["usage"] = {**(self.message.get("usage") or {}), **usage}

    def _on_end(self, _: Fields) -> None:
        self._expect(self.has_finish, "message_stop without a stop reason")
        self.is_over = True

    @property
    def _content(self) -> list[Fields]:
        assert self.message is not None
        content: list[Fields] = self.message["content"]
        return content

    def _expect(self, condition: Any, complaint: str) -> None:
        if not condition:
            self.complaints.append(complaint)

    def outcome(self) -> Outcome:
        """The message so far."""
        if self.message is None:
            return Outcome(complaints=("nothing came",))
        self._expect(self.is_over, "no message_stop")
        return read(self.message, pieces=self.pieces, complaints=tuple(self.complaints))


_GROWS = {
    ("text", "text_delta"): "text",
    ("thinking", "thinking_delta"): "thinking",
    ("thinking", "signature_delta"): "signature",
    ("tool_use", "input_json_delta"): "input",
}

_FOLLOW: dict[str, Callable[[AnthropicBuilder, Fields], None]] = {
    "message_start": AnthropicBuilder._on_start,
    "content_block_start": AnthropicBuilder._on_block,
    "content_block_delta": AnthropicBuilder._on_delta,
    "content_block_stop": AnthropicBuilder._on_stop,
    "message_delta": AnthropicBuilder._on_message,
    "message_stop": AnthropicBuilder._on_end,
}
