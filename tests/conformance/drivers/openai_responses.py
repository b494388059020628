"""OpenAI's SDK, Responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import openai

from tests.conformance.drivers.base import (
    KEY,
    PATIENCE,
    Broken,
    Driver,
    data_url,
    encoded,
    given,
    placed,
    plain,
)
from tests.conformance.drivers.openai_errors import openai_failure
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

ENCRYPTED = ["reasoning.encrypted_content"]

OPTIONS: Mapping[str, Callable[[Any], Fields]] = {
    **plain("temperature", "top_p", "user", "parallel_tool_calls", "service_tier", "metadata"),
    "max_tokens": lambda value: {"max_output_tokens": value},
    "json_mode": lambda _: {"text": {"format": {"type": "json_object"}}},
    "json_schema": lambda schema: {"text": {"format": _schema(schema)}},
    "verbosity": lambda value: {"text": {"verbosity": value}},
    "reasoning_effort": lambda value: {"reasoning": {"effort": value}},
    "shows_reasoning": lambda _: {"reasoning": {"summary": "auto"}, "include": ENCRYPTED},
    "logprobs": lambda _: {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
}


class ResponsesDriver(Driver):
    """Speaks to ``base_url``, which ends in ``/v1``; nothing is stored."""

    protocol = "openai_responses"
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
        """A stream of events."""
        create: Any = self.client.responses.create
        return create(model=model, stream=True, **request(prompt))

    def whole(self, prompt: Prompt, model: str) -> Outcome:
        """A response."""
        create: Any = self.client.responses.create
        response = create(model=model, **request(prompt))
        return read(response, complaints=tuple(_shortcomings(response)))

    def builder(self) -> ResponsesBuilder:
        """For one stream."""
        return ResponsesBuilder()

    def failure(self, error: Exception) -> Failure | None:
        """What an error says."""
        return openai_failure(error)


# ---------------------------------------------------------------- asking


def request(prompt: Prompt) -> Fields:
    """The arguments of ``create``, without the model."""
    items: list[Any] = []
    for turn in prompt.turns:
        items += _items(turn)
    fields = {
        "input": items,
        "instructions": prompt.system or None,
        "store": False,
        "tools": [_tool(tool) for tool in prompt.tools] or None,
        "tool_choice": _choice(prompt),
        "extra_headers": dict(prompt.headers) or None,
        "extra_body": dict(prompt.raw) or None,
    }
    return given(fields) | given(placed(prompt.options, OPTIONS))


def _items(turn: Turn) -> Iterator[Any]:
    """Results and calls are items of their own; the rest is one message."""
    rest: list[Part] = []
    for part in turn.parts:
        match part:
            case Replay():
                yield from part.native
            case Result():
                output = _output(part)
                yield {"type": "function_call_output", "call_id": part.call_id, "output": output}
            case Call():
                arguments = json.dumps(part.arguments)
                said = {"call_id": part.id, "name": part.name, "arguments": arguments}
                yield {"type": "function_call", **said}
            case _:
                rest.append(part)
    if rest and turn.role == "assistant":
        yield {"role": "assistant", "content": "".join(p.text for p in rest if isinstance(p, Text))}
    elif rest:
        yield {"role": "user", "content": [_part(part) for part in rest]}


def _output(result: Result) -> Any:
    text = result.value if isinstance(result.value, str) else json.dumps(result.value)
    if not result.images:
        return text
    return [{"type": "input_text", "text": text}, *map(_part, result.images)]


def _part(part: Part) -> Fields:
    match part:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Link(url):
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case Media(kind="image"):
            return {"type": "input_image", "image_url": data_url(part), "detail": "auto"}
        case Media(kind="audio"):
            shape = part.mime.partition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": encoded(part), "format": shape}}
        case Media():
            return {"type": "input_file", "filename": part.name, "file_data": data_url(part)}
        case _:
            raise AssertionError(part)


def _tool(tool: Any) -> Fields:
    said = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "strict": False, **said}


def _choice(prompt: Prompt) -> Any:
    choice = prompt.tool_choice
    if isinstance(choice, Named):
        return {"type": "function", "name": choice.name}
    if isinstance(choice, Allowed):
        tools = [{"type": "function", "name": name} for name in choice.names]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    return choice


def _schema(schema: Fields) -> Fields:
    return {"type": "json_schema", "name": "answer", "schema": schema}


# ---------------------------------------------------------------- reading


def read(response: Any, **more: Any) -> Outcome:
    """What a response says."""
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    calls = [item for item in response.output if item.type == "function_call"]
    thoughts = [item for item in response.output if item.type == "reasoning"]
    images = [item for item in response.output if item.type == "image_generation_call"]
    return Outcome(
        text="".join(part.text for part in parts if part.type == "output_text"),
        reasoning="".join(map(_thought, thoughts)),
        calls=tuple(Called(c.call_id, c.name, parsed(c.arguments)) for c in calls),
        finish=_finish(response, bool(calls)),
        usage=_usage(response.usage),
        refusal="".join(part.refusal for part in parts if part.type == "refusal"),
        images=tuple(_image(image) for image in images),
        proofs=tuple(item.encrypted_content for item in thoughts if item.encrypted_content),
        model=response.model,
        id=response.id,
        native=[item.model_dump(exclude_none=True, mode="json") for item in response.output],
        **more,
    )


def _thought(item: Any) -> str:
    return "".join(part.text for part in item.content or item.summary)


def _image(item: Any) -> str:
    result = str(item.result)
    if result.startswith(("http:", "https:", "data:")):
        return result
    return f"data:image/{getattr(item, 'output_format', None) or 'png'};base64,{result}"


def _finish(response: Any, has_calls: bool) -> str | None:
    if response.status == "incomplete":
        reason = response.incomplete_details.reason
        return "length" if reason == "max_output_tokens" else str(reason)
    if response.status == "completed":
        return "tool_calls" if has_calls else "stop"
    return str(response.status)


def _usage(usage: Any) -> Counted:
    if usage is None:
        return Counted()
    came, went = usage.input_tokens_details, usage.output_tokens_details
    return Counted(
        usage.input_tokens,
        usage.output_tokens,
        getattr(came, "cached_tokens", None),
        getattr(came, "cache_write_tokens", None),
        getattr(went, "reasoning_tokens", None),
    )


REQUIRED = ("id", "created_at", "model", "object", "output", "parallel_tool_calls", "tool_choice")


def _shortcomings(response: Any) -> Iterator[str]:
    """What the SDK's own model of a response requires."""
    for name in REQUIRED:
        if getattr(response, name, None) is None:
            yield f"no {name} in the response"
    for item in response.output:
        if item.type != "function_call" and not item.id:
            yield f"no id in {item.type}"


DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
}


class ResponsesBuilder:
    """Follows the items as they open, grow and close; the last event has the response."""

    def __init__(self) -> None:
        self.said: dict[str, list[str]] = {"text": [], "refusal": [], "reasoning": []}
        self.arguments: dict[str, list[str]] = {}
        self.open: dict[int, str] = {}
        self.opened = 0
        self.done: dict[int, Any] = {}
        self.complaints: list[str] = []
        self.numbers: list[int] = []
        self.first: Any = None
        self.final: Any = None
        self.pieces = 0

    def add(self, event: Any) -> None:
        """Takes one event."""
        self._expect(self.final is None, f"{event.type} after the end")
        number = getattr(event, "sequence_number", None)
        expected = self.numbers[-1] + 1 if self.numbers else 0
        self._expect(number == expected, f"{event.type} has number {number}, not {expected}")
        self.numbers.append(expected if number is None else number)
        if self.first is None:
            self._expect(event.type == "response.created", f"begins with {event.type}")
            self.first = getattr(event, "response", None)
        if event.type in ("error", "response.failed"):
            raise Broken(_failure(event))
        if event.type in ("response.completed", "response.incomplete"):
            self.final = event.response
        elif event.type in DELTAS:
            self._check_open(event)
            self.said[DELTAS[event.type]].append(event.delta)
            self.pieces += bool(event.delta)
        else:
            self._follow(event)

    def _follow(self, event: Any) -> None:
        if event.type == "response.output_item.added":
            self._expect(event.output_index == self.opened, f"item {event.output_index} opens")
            self.opened += 1
            self.open[event.output_index] = event.item.id
        elif event.type == "response.output_item.done":
            opened = self.open.pop(event.output_index, None)
            self._expect(opened == event.item.id, f"item {event.item.id} was {opened}")
            self.done[event.output_index] = event.item
        elif event.type == "response.function_call_arguments.delta":
            self._check_open(event)
            self.arguments.setdefault(event.item_id, []).append(event.delta)
            self.pieces += 1
        elif event.type == "response.function_call_arguments.done":
            sent = "".join(self.arguments.get(event.item_id, []))
            self._expect(sent == event.arguments, f"{sent!r} became {event.arguments!r}")

    def _check_open(self, event: Any) -> None:
        opened = self.open.get(event.output_index)
        self._expect(opened == event.item_id, f"{event.type} of {event.item_id} in {opened}")

    def _expect(self, condition: Any, complaint: str) -> None:
        if not condition:
            self.complaints.append(complaint)

    def outcome(self) -> Outcome:
        """What the last event says, if it says the same as the events before it."""
        said: dict[str, Any] = {name: "".join(said) for name, said in self.said.items()}
        if self.final is None:
            return Outcome(**said, pieces=self.pieces, complaints=(*self.complaints, "no end"))
        self.complaints += _shortcomings(self.final)
        self._expect(not self.open, f"items left open: {self.open}")
        self._expect(self.final.id == self.first.id, "the response changed its id")
        before, after = (
            [item.model_dump(exclude_none=True) for item in items]
            for items in ([self.done[n] for n in sorted(self.done)], self.final.output)
        )
        self._expect(before == after, f"the last event has {after}, before it was {before}")
        outcome = read(self.final)
        for name, text in said.items():
            whole = getattr(outcome, name)
            self._expect(whole == text, f"{name} is {whole!r}, its deltas were {text!r}")
        return read(self.final, pieces=self.pieces, complaints=tuple(self.complaints))


def _failure(event: Any) -> Failure:
    if event.type == "error":
        code, message = event.code, event.message
    else:
        code, message = event.response.error.code, event.response.error.message
    words = (event.type, str(code)) if code else (event.type,)
    return Failure(event.type, None, words, message or "", body=event)
