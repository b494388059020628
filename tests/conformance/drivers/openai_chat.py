"""OpenAI's SDK, chat completions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import openai

from tests.conformance.drivers.base import (
    KEY,
    PATIENCE,
    Driver,
    data_url,
    encoded,
    given,
    placed,
    plain,
)
from tests.conformance.drivers.openai_errors import openai_failure
from tests.conformance.outcome import Called, Counted, Failure, Outcome, joined, parsed
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

OPTIONS: Mapping[str, Callable[[Any], Fields]] = {
    **plain(
        "temperature",
        "top_p",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "user",
        "parallel_tool_calls",
        "reasoning_effort",
        "verbosity",
        "service_tier",
        "metadata",
        "logprobs",
    ),
    "max_tokens": lambda value: {"max_completion_tokens": value},
    "top_k": lambda value: {"extra_body": {"top_k": value}},
    "json_mode": lambda _: {"response_format": {"type": "json_object"}},
    "json_schema": lambda schema: {"response_format": _schema(schema)},
    "shows_reasoning": lambda _: {"reasoning_effort": "medium"},
}


class ChatDriver(Driver):
    """Speaks to ``base_url``, which ends in ``/v1``."""

    protocol = "openai_chat"
    says = frozenset(OPTIONS)

    def __init__(self, origin: str) -> None:
        super().__init__()
        hooks: Any = {"response": [self.noted]}
        self.client = openai.OpenAI(
            base_url=f"{origin}/v1",
            api_key=KEY,
            max_retries=0,
            timeout=PATIENCE,
            http_client=openai.DefaultHttpxClient(trust_env=False, event_hooks=hooks),
        )

    def close(self) -> None:
        """Closes the client."""
        self.client.close()

    def open(self, prompt: Prompt, model: str) -> Any:
        """A stream of chunks that ends with the usage."""
        fields = request(prompt) | {"stream_options": {"include_usage": True}}
        create: Any = self.client.chat.completions.create
        return create(model=model, stream=True, **fields)

    def whole(self, prompt: Prompt, model: str) -> Outcome:
        """A completion."""
        create: Any = self.client.chat.completions.create
        return read(create(model=model, **request(prompt)))

    def builder(self) -> ChatBuilder:
        """For one stream."""
        return ChatBuilder()

    def failure(self, error: Exception) -> Failure | None:
        """What an error says."""
        return openai_failure(error)


# ---------------------------------------------------------------- asking


def request(prompt: Prompt) -> Fields:
    """The arguments of ``create``, without the model."""
    messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
    for turn in prompt.turns:
        messages += _messages(turn)
    fields = {
        "messages": messages,
        "tools": [_tool(tool) for tool in prompt.tools] or None,
        "tool_choice": _choice(prompt),
        "extra_headers": dict(prompt.headers) or None,
        "extra_body": dict(prompt.raw) or None,
    }
    return given(placed(prompt.options, OPTIONS)) | given(fields)


def _messages(turn: Turn) -> Iterator[Fields]:
    """Results first; images in them have to be shown by the user."""
    results = [part for part in turn.parts if isinstance(part, Result)]
    for result in results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text_of(result)}
    rest: list[Part] = [image for result in results for image in result.images]
    rest += [part for part in turn.parts if not isinstance(part, Result)]
    if turn.role == "user":
        if rest:
            yield {"role": "user", "content": _content(rest)}
        return
    replays = [part.native for part in rest if isinstance(part, Replay)]
    if replays:
        yield from replays
        return
    calls = [_call(part) for part in rest if isinstance(part, Call)]
    texts = [part.text for part in rest if isinstance(part, Text)]
    message = {"role": "assistant", "content": "".join(texts) or None}
    yield message | ({"tool_calls": calls} if calls else {})


def text_of(result: Result) -> str:
    """A string as it is, anything else as JSON."""
    return result.value if isinstance(result.value, str) else json.dumps(result.value)


def _content(parts: list[Part]) -> str | list[Fields]:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part) for part in parts]


def _part(part: Part) -> Fields:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Link(url):
            return {"type": "image_url", "image_url": {"url": url}}
        case Media(kind="image"):
            return {"type": "image_url", "image_url": {"url": data_url(part)}}
        case Media(kind="audio"):
            shape = part.mime.partition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": encoded(part), "format": shape}}
        case Media():
            file = {"filename": part.name, "file_data": data_url(part)}
            return {"type": "file", "file": file}
        case _:
            raise AssertionError(part)


def _call(call: Call) -> Fields:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: Any) -> Fields:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _choice(prompt: Prompt) -> Any:
    choice = prompt.tool_choice
    if isinstance(choice, Named):
        return _named(choice.name)
    if isinstance(choice, Allowed):
        tools = [_named(name) for name in choice.names]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return choice


def _named(name: str) -> Fields:
    return {"type": "function", "function": {"name": name}}


def _schema(schema: Fields) -> Fields:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


# ---------------------------------------------------------------- reading


def read(completion: Any) -> Outcome:
    """What a completion says."""
    choice = completion.choices[0]
    message = choice.message
    native = message.model_dump(exclude_none=True)
    return _outcome(native, choice.finish_reason, completion.usage, completion)


def _outcome(message: Fields, finish: str | None, usage: Any, shell: Any, **more: Any) -> Outcome:
    calls = [call for call in message.get("tool_calls") or () if "function" in call]
    images = [image["image_url"]["url"] for image in message.get("images") or ()]
    return Outcome(
        text=message.get("content") or "",
        reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        calls=tuple(
            Called(c["id"], c["function"]["name"], parsed(c["function"]["arguments"]))
            for c in calls
        ),
        finish=finish,
        usage=_usage(usage),
        refusal=message.get("refusal") or "",
        images=tuple(images),
        proofs=tuple(_proofs(message)),
        model=shell.model if shell is not None else "",
        id=shell.id if shell is not None else "",
        native=message,
        **more,
    )


def _proofs(message: Fields) -> Iterator[str]:
    for detail in message.get("reasoning_details") or ():
        if proof := detail.get("signature") or detail.get("data"):
            yield proof
    for call in message.get("tool_calls") or ():
        google = (call.get("extra_content") or {}).get("google") or {}
        if proof := google.get("thought_signature"):
            yield proof


def _usage(usage: Any) -> Counted:
    if usage is None:
        return Counted()
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Counted(
        usage.prompt_tokens,
        usage.completion_tokens,
        prompt.cached_tokens if prompt else None,
        getattr(prompt, "cache_write_tokens", None),
        completion.reasoning_tokens if completion else None,
    )


class ChatBuilder:
    """Accumulates chunks as OpenAI's documentation and OpenRouter's tell clients to."""

    def __init__(self) -> None:
        self.message: Fields = {"role": "assistant"}
        self.calls: dict[int, Fields] = {}
        self.finishes: list[str] = []
        self.usage: Any = None
        self.shells: list[Any] = []
        self.complaints: list[str] = []
        self.pieces = 0

    def add(self, chunk: Any) -> None:
        """Takes one chunk."""
        self._check_shell(chunk)
        self.shells.append(chunk)
        if chunk.usage is not None:
            self.usage = chunk.usage
            self._expect(not chunk.choices or self.finishes, "usage before the finish reason")
        for choice in chunk.choices:
            if choice.index != 0:
                self.complaints.append(f"choice {choice.index}")
            self._add_delta(choice.delta.model_dump(exclude_none=True))
            if choice.finish_reason:
                self.finishes.append(choice.finish_reason)

    def outcome(self) -> Outcome:
        """The message so far."""
        self._expect(len(self.finishes) <= 1, f"several finish reasons: {self.finishes}")
        message = dict(self.message)
        if self.calls:
            message["tool_calls"] = [self.calls[index] for index in sorted(self.calls)]
        finish = self.finishes[0] if self.finishes else None
        shell = self.shells[0] if self.shells else None
        complaints = tuple(self.complaints)
        more = {"pieces": self.pieces, "complaints": complaints}
        return _outcome(message, finish, self.usage, shell, **more)

    def _expect(self, condition: Any, complaint: str) -> None:
        if not condition:
            self.complaints.append(complaint)

    def _check_shell(self, chunk: Any) -> None:
        first = self.shells[0] if self.shells else chunk
        self._expect(chunk.id and chunk.id == first.id, f"id {chunk.id} after {first.id}")
        self._expect(chunk.model == first.model, f"model {chunk.model} after {first.model}")
        self._expect(chunk.object == "chat.completion.chunk", f"object {chunk.object}")
        self._expect(chunk.created, "no time of creation")

    def _add_delta(self, delta: Fields) -> None:
        if not self.pieces and len(self.shells) == 1:
            self._expect(delta.get("role") == "assistant", "no role in the first delta")
        if self.finishes:
            self._expect(not delta, f"delta after the finish reason: {delta}")
        has_content = False
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            if delta.get(name):
                self.message[name] = self.message.get(name, "") + delta[name]
                has_content = True
        for name in ("images", "reasoning_details"):
            if delta.get(name):
                self.message.setdefault(name, []).extend(delta[name])
                has_content = True
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
            has_content = True
        self.pieces += has_content

    def _add_call(self, piece: Fields) -> None:
        index = piece["index"]
        known = self.calls.get(index)
        function = piece.get("function") or {}
        if known is None:
            self._expect(index == len(self.calls), f"call {index} after {len(self.calls)} calls")
            named = piece.get("id") and piece.get("type") and function.get("name")
            self._expect(named, f"call {index} begins without id, type or name")
            known = self.calls[index] = {"id": piece.get("id"), "type": "function"}
            known["function"] = {"name": function.get("name"), "arguments": ""}
        known["function"]["arguments"] += joined([function.get("arguments")])
        known |= {name: piece[name] for name in piece if name not in _KNOWN}


_KNOWN = frozenset(("index", "id", "type", "function"))
